"""Many small networks trained at once: one call into torch where each of them would make its own.

A step of a small network costs the time of its calls more than of their arithmetic, so a stack of twelve takes what
three to seven take one by one (``python -m benchmarks.stacked``). Every run keeps its own data, noise, batch order,
loss, memory and best epoch, and its bits do not depend on what else is in the stack.
"""

import copy
import functools
import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.optim import SGD
from torch.optim.lr_scheduler import LRScheduler

from labelnoise._types import Batch
from labelnoise.losses import Loss
from labelnoise.models import MLP, StackedMLP
from labelnoise.objectives import Objective, PrunedLoss, Stateless
from labelnoise.training._checks import NonFiniteLossError, check_run, check_steps, check_validation, identity_of
from labelnoise.training.checkpoint import load_checkpoint, save_checkpoint
from labelnoise.training.loop import EVALUATION_BATCH, EpochMetrics, TrainingResult
from labelnoise.training.record import Recorder

_SECONDS_BETWEEN_CHECKPOINTS = 5.0  # a file a run: after every epoch of some hundredths of a second would cost more


class Member(NamedTuple):
    """One run of a stack."""

    model: MLP
    """Trained in place."""
    objective: Objective
    train: Batch
    validation: Batch
    test: Batch
    generator: torch.Generator
    """Of the batch order."""
    checkpoint: Path
    """Written every few seconds, and read first where it exists."""


def train_stack(
    members: Sequence[Member],
    *,
    optimizer: Callable[[Iterable[nn.Parameter]], SGD],
    schedule: Callable[[SGD], LRScheduler],
    epochs: int,
    batch_size: int,
    device: torch.device,
) -> list[TrainingResult | NonFiniteLossError]:
    """What :func:`train` does for one run, for all ``members`` at once: in float32, without augmentation.

    Equal to ``train`` but for rounding, which grows over the epochs as it does from one machine to another. A member
    whose loss becomes NaN or infinite gets that error as its result, and the others go on.

    Args:
        members: runs with networks of one size and splits of one size.
        optimizer, schedule: made from the parameters of all, for all; the schedule is stepped once a batch.
        epochs, batch_size, device: of all.

    Raises:
        ValueError: what ``train`` refuses, or an objective that is no plain mean over the samples, pruned or not, of a
            loss of this package: class weights and ``ignore_index`` divide by something else.

    Example:
        >>> from labelnoise.objectives import build
        >>> data = Batch(torch.randn(8, 2), torch.arange(8) % 2, index=torch.arange(8))
        >>> members = [
        ...     Member(MLP((2,), 2, hidden=(4,)), build(loss, num_samples=8), data, data, data, torch.Generator(), path)
        ...     for loss, path in {"cce": Path("cce.pt"), "gce": Path("gce.pt")}.items()
        ... ]
        >>> cce, gce = train_stack(
        ...     members,
        ...     optimizer=lambda parameters: SGD(parameters, lr=0.1),
        ...     schedule=lambda optimizer: torch.optim.lr_scheduler.MultiStepLR(optimizer, []),
        ...     epochs=3,
        ...     batch_size=4,
        ...     device=torch.device("cpu"),
        ... )
        >>> gce.record.loss.shape
        torch.Size([3, 8])
    """
    for m in members:
        splits: dict[str, Batch | None] = {"train": m.train, "validation": m.validation, "test": m.test}
        check_run(m.model, m.objective, splits, epochs=epochs, batch_size=batch_size)
    states = [load_checkpoint(m.checkpoint) if m.checkpoint.exists() else None for m in members]
    done = [len(state["history"]) if state else 0 for state in states]
    results: dict[int, TrainingResult | NonFiniteLossError] = {}
    for epoch in set(done):  # of a stack that was killed while it wrote its checkpoints, some are one behind
        alike = [i for i in range(len(members)) if done[i] == epoch]
        # equal losses side by side: one call for all of them
        alike.sort(key=lambda i: _appearance(_loss_of_each_sample(members[i].objective)))
        stack = _Stack([members[i] for i in alike], optimizer, schedule, epochs, batch_size, device)
        if epoch:
            stack.load([states[i] or {} for i in alike])
        results |= dict(zip(alike, stack.train(), strict=True))
    return [results[i] for i in range(len(members))]


class _Split(NamedTuple):
    inputs: Float[Tensor, "m n *shape"]
    labels: Int64[Tensor, "m n"]


class _Stack:
    """Runs that are equally far."""

    def __init__(
        self,
        members: Sequence[Member],
        optimizer: Callable[[Iterable[nn.Parameter]], SGD],
        schedule: Callable[[SGD], LRScheduler],
        epochs: int,
        batch_size: int,
        device: torch.device,
    ) -> None:
        self.members, self.epochs, self.batch_size, self.device = members, epochs, batch_size, device
        self.training = _stacked([member.train for member in members], device)
        self.validation = _stacked([member.validation for member in members], device)
        self.test = _stacked([member.test for member in members], device)
        self.network = StackedMLP([member.model for member in members]).to(device)
        self.best_network = copy.deepcopy(self.network)
        self.best_epochs = [0] * len(members)
        self.optimizer = optimizer(self.network.parameters())
        self.schedule = schedule(self.optimizer)
        self.identities = [
            identity_of(m.model, (m.train, m.validation), batch_size, m.objective, self.schedule) for m in members
        ]
        self.objectives = [member.objective.to(device).train() for member in members]
        losses = [_loss_of_each_sample(objective) for objective in self.objectives]
        self.losses = [list(equal) for _, equal in itertools.groupby(losses, _appearance)]
        self.recorders = [Recorder(member.train, epochs, device) for member in members]
        self.histories: list[list[EpochMetrics]] = [[] for _ in members]
        self.seconds = [0.0] * len(members)  # of each, its share of the time up to its checkpoint
        self.errors: dict[int, NonFiniteLossError] = {}

    def train(self) -> list[TrainingResult | NonFiniteLossError]:
        written = time.monotonic()
        for epoch in range(len(self.histories[0]) + 1, self.epochs + 1):
            losses = self._steps(epoch)
            self._judge(epoch, losses)
            self._end_epoch(epoch)
            if (passed := time.monotonic() - written) > _SECONDS_BETWEEN_CHECKPOINTS:
                self.seconds = [seconds + passed / len(self.members) for seconds in self.seconds]
                self._save()
                written += passed
        return [self.errors.get(i) or self._result(i) for i in range(len(self.members))]

    def _steps(self, epoch: int) -> Float[Tensor, "m steps"]:
        """Train for an epoch; returns what was minimised."""
        order = [torch.randperm(len(m.train.labels), generator=m.generator).to(self.device) for m in self.members]
        inputs, labels = (_in_order(part, order) for part in self.training)
        kept = _in_order(
            [_kept(objective, rows) for objective, rows in zip(self.objectives, order, strict=True)], order
        )
        counts_kept = torch.tensor([getattr(o, "average", "batch") == "kept" for o in self.objectives]).to(self.device)
        seen: list[Tensor] = []
        losses: list[Tensor] = []
        batches = zip(*(part.split(self.batch_size, dim=1) for part in (inputs, labels, kept)), strict=True)
        for batch_inputs, batch_labels, batch_kept in batches:
            self.optimizer.zero_grad()
            logits = self.network(batch_inputs)
            values = torch.where(batch_kept, self._values(logits, batch_labels), 0)
            count = torch.where(counts_kept, batch_kept.sum(1), batch_kept.shape[1])
            loss = values.sum(1) / count.clamp(min=1)
            loss.sum().backward()  # the runs share no weight, so each gets its own gradient
            self.optimizer.step()
            self.schedule.step()
            seen.append(logits.detach())
            losses.append(loss.detach())
        logits = torch.cat(seen, 1)
        for i, rows in enumerate(order):
            self.recorders[i].add(epoch, logits[i], labels[i], rows)
            if isinstance(objective := self.objectives[i], PrunedLoss):
                objective.remember(logits[i], labels[i], rows)
        return torch.stack(losses, 1)

    def _values(self, logits: Float[Tensor, "m n k"], labels: Int64[Tensor, "m n"]) -> Float[Tensor, "m n"]:
        sizes = [len(equal) for equal in self.losses]
        groups = zip(self.losses, logits.split(sizes), labels.split(sizes), strict=True)
        return torch.cat([equal[0](z.flatten(0, 1), y.flatten()).view(y.shape) for equal, z, y in groups])

    def _judge(self, epoch: int, losses: Float[Tensor, "m steps"]) -> None:
        """Note the metrics of ``epoch``, and the weights of those that it is the best one of."""
        accuracies, validation_losses = _evaluate(self.network, self.validation)
        test_accuracies, _ = _evaluate(self.network, self.test)
        for i, history in enumerate(self.histories):
            if i in self.errors:
                continue
            try:
                check_steps(losses[i], epoch, self.objectives[i])
                check_validation(validation_losses[i], epoch)
            except NonFiniteLossError as error:
                self.errors[i] = error
                continue
            if not history or accuracies[i] > history[self.best_epochs[i] - 1].validation_accuracy:
                self.best_epochs[i] = epoch
            mean = losses[i].mean().item()
            history.append(EpochMetrics(epoch, mean, accuracies[i], validation_losses[i], test_accuracies[i]))
        improved = [i for i, best in enumerate(self.best_epochs) if best == epoch]
        with torch.no_grad():
            for best, current in zip(self.best_network.parameters(), self.network.parameters(), strict=True):
                best[improved] = current[improved]

    def _end_epoch(self, epoch: int) -> None:
        label_probability = functools.cache(lambda: _label_probability(self.best_network, self.training))
        for i, objective in enumerate(self.objectives):
            if i not in self.errors:
                objective.end_epoch(epoch, lambda i=i: label_probability()[i])

    def _result(self, i: int) -> TrainingResult:
        model = self.members[i].model
        self.best_network.write_to(model, i)
        best_state = {name: value.clone() for name, value in model.state_dict().items()}
        self.network.write_to(model, i)
        return TrainingResult(self.histories[i], self.best_epochs[i], best_state, self.recorders[i].result(self.epochs))

    def _save(self) -> None:
        for i, member in enumerate(self.members):
            done = len(self.histories[i])
            state = {
                "identity": self.identities[i],
                "seconds": self.seconds[i],
                "tensors": [tensor[i].clone() for tensor in self._tensors()],
                "learning_rate": self.schedule.get_last_lr(),
                "schedule": self.schedule.state_dict(),
                "objective": self.objectives[i].state_dict(),
                "generator": member.generator.get_state(),
                "history": torch.tensor(self.histories[i], dtype=torch.float64),
                "best_epoch": self.best_epochs[i],
                "loss": self.recorders[i].loss[:done],
                "margin": self.recorders[i].margin[:done],
            }
            if i not in self.errors:
                save_checkpoint(member.checkpoint, state)

    def load(self, states: Sequence[dict[str, Any]]) -> None:
        """Go on where the members' checkpoints were written, in whichever stacks."""
        for i, (member, state) in enumerate(zip(self.members, states, strict=True)):
            if state.get("identity") != self.identities[i] or len(state["history"]) > self.epochs:
                raise ValueError(f"checkpoint {member.checkpoint} is of another run; delete it to start anew")
            self.objectives[i].load_state_dict(state["objective"])
            member.generator.set_state(state["generator"])
            self.histories[i] = [EpochMetrics(int(epoch), *rest) for epoch, *rest in state["history"].tolist()]
            self.best_epochs[i], self.seconds[i] = state["best_epoch"], state["seconds"]
            done = len(self.histories[i])
            self.recorders[i].loss[:done], self.recorders[i].margin[:done] = state["loss"], state["margin"]
        if self.optimizer.defaults["momentum"]:
            for parameter in self.network.parameters():
                self.optimizer.state[parameter]["momentum_buffer"] = torch.empty_like(parameter)
        for tensor, *own in zip(self._tensors(), *(state["tensors"] for state in states), strict=True):
            tensor.copy_(torch.stack(own))
        self.schedule.load_state_dict(states[0]["schedule"])
        for group, rate in zip(self.optimizer.param_groups, states[0]["learning_rate"], strict=True):
            group["lr"] = rate

    def _tensors(self) -> list[Tensor]:
        """Everything of one row a member that training changes, but for what the objectives hold."""
        parameters = [*self.network.parameters(), *self.best_network.parameters()]
        momentum = [state["momentum_buffer"] for state in self.optimizer.state.values()]
        return [tensor.detach() for tensor in parameters + momentum]


def _loss_of_each_sample(objective: Objective) -> Loss:
    loss = objective.loss if isinstance(objective, PrunedLoss | Stateless) else None
    # Of losses from elsewhere nothing tells whether two are equal, or what their mean is over.
    if isinstance(loss, Loss) and loss.ignore_index < 0:
        if isinstance(objective, PrunedLoss):
            return loss
        if loss.reduction == "mean" and loss.weight is None:
            loss = copy.deepcopy(loss)
            loss.reduction = "none"
            return loss
    wanted = "plain means over the samples, pruned or not, of losses of this package"
    raise ValueError(f"a stack minimises {wanted}; got {objective!r}")


def _appearance(loss: Loss) -> str:
    """Alike for losses that compute the same: all they show, and their tensors, which they do not."""
    return f"{loss} {[tensor.tolist() for tensor in loss.state_dict().values()]}"


def _kept(objective: Objective, rows: Tensor) -> Bool[Tensor, "n"]:
    return objective.kept if isinstance(objective, PrunedLoss) else torch.ones_like(rows, dtype=torch.bool)


def _stacked(parts: Sequence[Batch], device: torch.device) -> _Split:
    sizes = {tuple(part.inputs.shape) for part in parts}
    if len(sizes) != 1:
        raise ValueError(f"members must have splits of one size, got inputs of {sorted(sizes)}")
    inputs, labels = (torch.stack(tensors).to(device) for tensors in zip(*(part[:2] for part in parts), strict=True))
    return _Split(inputs, labels)


def _in_order(rows_of_members: Iterable[Tensor], order: Sequence[Tensor]) -> Tensor:
    return torch.stack([rows[own] for rows, own in zip(rows_of_members, order, strict=True)])


@torch.inference_mode()
def _evaluate(network: StackedMLP, split: _Split) -> tuple[list[float], list[float]]:
    """Accuracy and mean cross entropy of every member."""
    correct = loss = torch.zeros(len(split.labels), device=split.labels.device)
    for inputs, labels in zip(*(part.split(EVALUATION_BATCH, dim=1) for part in split), strict=True):
        logits = network(inputs)
        correct = correct + (logits.argmax(2) == labels).sum(1)
        loss = loss + F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(labels.shape).sum(
            1
        )
    n = split.labels.shape[1]
    return [value / n for value in correct.tolist()], [value / n for value in loss.tolist()]


@torch.no_grad()
def _label_probability(network: StackedMLP, split: _Split) -> Float[Tensor, "m n"]:
    probabilities = [network(inputs).softmax(2) for inputs in split.inputs.split(EVALUATION_BATCH, dim=1)]
    return torch.cat(probabilities, 1).gather(2, split.labels[:, :, None]).squeeze(2)
