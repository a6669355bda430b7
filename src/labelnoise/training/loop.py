"""The training loop: mini-batches, noisy validation, best and last epoch, pruning, checkpoints, exact resume.

Fabric is handed in, so that this file needs nothing but torch; where data, seeds and settings come from is not its
business either. ``examples/plain_loop.py`` is the same in its barest form, and gives the same bits.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from labelnoise._types import Batch, SparseRows, TrainingRecord
from labelnoise.objectives import Objective
from labelnoise.training._checks import check_run, check_steps, check_validation, eval_mode, identity_of
from labelnoise.training.checkpoint import load_checkpoint, save_checkpoint
from labelnoise.training.record import Recorder
from labelnoise.training.trajectory import Trajectory

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Augment = Callable[[Tensor, torch.Generator], Tensor]
State = dict[str, Tensor]

EVALUATION_BATCH = 256  # larger ones fall out of the CPU's caches: a ResNet-14 takes half as long again with 1024
_STEPS_BETWEEN_CHECKS = 100  # how often the host looks whether a loss on the device has become NaN


class EpochMetrics(NamedTuple):
    """What one epoch came to; accuracies are fractions, losses nats of cross entropy but for the objective's."""

    epoch: int
    objective: float
    """Mean of the minimised loss over the steps."""
    validation_accuracy: float
    """Of noisy labels, as all of validation; the mean over the classes where the run is to be ``balanced``."""
    validation_loss: float
    test_accuracy: float
    """For the curves; nothing is chosen by it. NaN without a test set."""


class TrainingResult(NamedTuple):
    """A finished run."""

    history: list[EpochMetrics]
    best_epoch: int
    """The first epoch of the highest noisy-validation accuracy."""
    best_state: State
    """The model's ``state_dict`` after that epoch; the model itself holds the last epoch's."""
    record: TrainingRecord


def train(
    model: nn.Module,
    objective: Objective,
    train: Batch,
    validation: Batch,
    test: Batch | None = None,
    *,
    fabric: Fabric,
    optimizer: Optimizer,
    schedule: LRScheduler,
    epochs: int,
    batch_size: int,
    generator: torch.Generator,
    augment: Augment | None = None,
    compiled: bool = False,
    balanced: bool = False,
    trajectory: Trajectory | None = None,
    checkpoint: Path | None = None,
    on_epoch: Callable[[EpochMetrics], None] | None = None,
) -> TrainingResult:
    """Train ``model`` to minimise ``objective``, or go on where ``checkpoint`` left off: to the same bits.

    Args:
        model: maps inputs (n, ..) to logits (n, k); trained in place.
        objective: called as ``objective(logits, labels, index)``, its rows numbering ``train`` from 0;
            ``Stateless(loss)`` of a loss that has no memory.
        train, validation, test: whole splits; ``validation`` carries noisy labels and alone chooses the best epoch.
        fabric: a launched ``lightning_fabric.Fabric`` of one process; it knows device and precision.
        optimizer: over the model's parameters.
        schedule: stepped once a batch.
        epochs, batch_size: the last batch of an epoch may be smaller, so that every sample is seen.
        generator: of the batch order and of ``augment``; a CPU generator.
        augment: ``augment(inputs, generator)`` on training batches only.
        compiled: ``torch.compile`` makes one program of network and loss, and another of their derivatives; it takes
            minutes once, forgets what else was compiled, and rounds in another way. For an accelerator's deep networks.
        balanced: every class counts the same in the validation accuracy, which chooses the best epoch.
        trajectory: filled on the way.
        checkpoint: written after every epoch, and read first where it exists.
        on_epoch: told each epoch's metrics, for a progress bar or a log.

    Raises:
        ValueError: data that are empty, not finite, mismatched or out of the model's classes, of which there must be
            two; an objective that is none, or whose warm-up does not end; no epochs or samples a batch; a Fabric of
            several processes; a checkpoint that is damaged, of another run or of more epochs.
        NonFiniteLossError: the loss became NaN or infinite, or that of validation; says at which epoch, and at which
            step of training.

    Example:
        >>> from labelnoise.objectives import build
        >>> from labelnoise.training import build_schedule, child_generator, open_fabric
        >>> data = Batch(torch.randn(8, 2), torch.arange(8) % 2, index=torch.arange(8))
        >>> model = nn.Linear(2, 2)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> result = train(
        ...     model,
        ...     build("gce", num_samples=8),
        ...     train=data,
        ...     validation=data,
        ...     fabric=open_fabric("cpu"),
        ...     optimizer=optimizer,
        ...     schedule=build_schedule("cosine", optimizer, epochs=3, steps_per_epoch=2),
        ...     epochs=3,
        ...     batch_size=4,
        ...     generator=child_generator(0, "order"),
        ... )
        >>> result.record.loss.shape
        torch.Size([3, 8])
    """
    if fabric.world_size != 1:
        raise ValueError(f"fabric must be of one process, got {fabric.world_size}")
    splits = {"train": train, "validation": validation, "test": test}
    check_run(model, objective, splits, epochs=epochs, batch_size=batch_size)
    start = time.perf_counter()
    wrapped, optimizer = fabric.setup(model, optimizer)
    objective = objective.to(fabric.device)
    train, validation = _to(train, fabric.device), _to(validation, fabric.device)
    test = test and _to(test, fabric.device)
    recorder = Recorder(train, epochs, fabric.device)
    history: list[EpochMetrics] = []
    best_epoch, best_state = 0, _copy(model)
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule, "objective": objective}
    parts |= {"trajectory": trajectory} if trajectory else {}
    identity = identity_of(model, (train, validation), batch_size, objective, schedule)
    identity |= {"parts": list(parts), "balanced": balanced}

    if checkpoint is not None and checkpoint.exists():
        state = load_checkpoint(checkpoint)
        if state.get("identity") != identity:
            raise ValueError(f"checkpoint {checkpoint} is of another run; delete it to start anew")
        if len(state["history"]) > epochs:
            raise ValueError(
                f"checkpoint {checkpoint} has {len(state['history'])} epochs, more than the {epochs} wanted"
            )
        for name, part in parts.items():
            part.load_state_dict(state[name])
        generator.set_state(state["generator"])
        _set_random_state(state["random"], fabric.device)
        start -= state["seconds"]
        history = [EpochMetrics(int(epoch), *rest) for epoch, *rest in state["history"].tolist()]
        best_epoch, best_state = state["best_epoch"], _to_device(state["best_state"], fabric.device)
        recorder.loss[: len(history)], recorder.margin[: len(history)] = state["loss"], state["margin"]

    def best_label_probability() -> Float[Tensor, "n"]:
        return label_probability(model, best_state, train, fabric=fabric)

    def forward(inputs: Tensor, labels: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        logits = wrapped(inputs)
        return logits, objective(logits, labels, rows)

    if compiled:
        torch.compiler.reset()  # after eight graphs, those of earlier runs among them, torch would go on without
        forward = torch.compile(forward, dynamic=False)  # a graph for all batches but an epoch's last, smaller one

    for epoch in range(len(history) + 1, epochs + 1):
        model.train()
        objective.train()
        rows_of_step = torch.randperm(len(train.labels), generator=generator).to(fabric.device).split(batch_size)
        losses = torch.zeros(len(rows_of_step), device=fabric.device)
        for step, rows in enumerate(rows_of_step):
            inputs, labels = _take(train.inputs, rows), train.labels[rows]
            if augment is not None:
                inputs = augment(inputs, generator)
            optimizer.zero_grad()
            logits, loss = forward(inputs, labels, rows)
            fabric.backward(loss)
            optimizer.step()
            schedule.step()
            losses[step] = loss.detach()
            recorder.add(epoch, logits, labels, rows)
            if trajectory is not None:
                trajectory.add(logits, rows)
            if step % _STEPS_BETWEEN_CHECKS == 0:
                check_steps(losses, epoch, objective)
        check_steps(losses, epoch, objective)

        validation_accuracy, validation_loss = evaluate(model, validation, fabric=fabric, balanced=balanced)
        check_validation(validation_loss, epoch)
        test_accuracy = evaluate(model, test, fabric=fabric)[0] if test else float("nan")
        metrics = EpochMetrics(epoch, losses.mean().item(), validation_accuracy, validation_loss, test_accuracy)
        if not history or validation_accuracy > history[best_epoch - 1].validation_accuracy:
            best_epoch, best_state = epoch, _copy(model)
        if trajectory is not None:
            trajectory.end_epoch(epoch, is_best=best_epoch == epoch)
        history.append(metrics)
        objective.end_epoch(epoch, best_label_probability)
        if checkpoint is not None:
            state = {name: part.state_dict() for name, part in parts.items()}
            state |= {"identity": identity, "seconds": time.perf_counter() - start}
            state |= {"generator": generator.get_state(), "random": _random_state(fabric.device)}
            state |= {"history": torch.tensor(history, dtype=torch.float64)}
            state |= {"best_epoch": best_epoch, "best_state": best_state}
            state |= {"loss": recorder.loss[:epoch], "margin": recorder.margin[:epoch]}
            save_checkpoint(checkpoint, state)
        if on_epoch is not None:
            on_epoch(metrics)
    return TrainingResult(history, best_epoch, best_state, recorder.result(epochs))


@torch.inference_mode()
def evaluate(model: nn.Module, data: Batch, *, fabric: Fabric, balanced: bool = False) -> tuple[float, float]:
    """Accuracy (a fraction, of samples or the mean over the classes) and mean cross entropy (nats), in eval mode.

    The model is where ``fabric`` is; the data may be elsewhere.

    >>> from labelnoise.training import open_fabric
    >>> data = Batch(torch.tensor([[5.0, 0.0], [0.0, 5.0]]), torch.tensor([0, 0]), torch.arange(2))
    >>> accuracy, loss = evaluate(nn.Identity(), data, fabric=open_fabric("cpu"))
    >>> accuracy
    0.5
    """
    data = _to(data, fabric.device)
    weight = torch.ones(len(data.labels), device=fabric.device)
    if balanced:
        weight /= data.labels.bincount()[data.labels]
    correct = loss = torch.zeros((), device=fabric.device)
    with eval_mode(model), fabric.autocast():
        for rows in torch.arange(len(data.labels), device=fabric.device).split(EVALUATION_BATCH):
            logits, labels = model(_take(data.inputs, rows)).float(), data.labels[rows]
            correct = correct + (weight[rows] * (logits.argmax(1) == labels)).sum()
            loss = loss + F.cross_entropy(logits, labels, reduction="sum")
    return correct.item() / weight.sum().item(), loss.item() / len(data.labels)


def predict(model: nn.Module, state: State, inputs: Tensor | SparseRows, *, fabric: Fabric) -> Float[Tensor, "n k"]:
    """Class probabilities under the weights ``state``, in eval mode; the model keeps its own weights and mode.

    Model and weights are where ``fabric`` is, as are the probabilities; the inputs may be elsewhere.

    >>> from labelnoise.training import open_fabric
    >>> model = nn.Linear(2, 3)
    >>> predict(model, model.state_dict(), torch.zeros(5, 2), fabric=open_fabric("cpu")).shape
    torch.Size([5, 3])
    """
    inputs = inputs.to(fabric.device)
    with torch.inference_mode(), eval_mode(model), fabric.autocast():
        batches = [
            functional_call(model, state, (_take(inputs, rows),), tie_weights=False).float().softmax(1)
            for rows in torch.arange(len(inputs), device=fabric.device).split(EVALUATION_BATCH)
        ]
    return torch.cat(batches)  # outside, so that it is a tensor like any other


def label_probability(model: nn.Module, state: State, data: Batch, *, fabric: Fabric) -> Float[Tensor, "n"]:
    """p_y of every sample of ``data`` under the weights ``state``."""
    labels = data.labels.to(fabric.device)
    return predict(model, state, data.inputs, fabric=fabric).gather(1, labels[:, None]).squeeze(1)


def _take(inputs: Tensor | SparseRows, rows: Tensor) -> Tensor:
    """The samples in ``rows``; of bytes, ``inputs[rows]`` takes fifteen times as long."""
    return inputs.index_select(0, rows) if isinstance(inputs, Tensor) else inputs[rows]


def _to(data: Batch, device: torch.device) -> Batch:
    return Batch(data.inputs.to(device), data.labels.to(device), data.index)


def _to_device(state: State, device: torch.device) -> State:
    return {name: value.to(device) for name, value in state.items()}


def _copy(model: nn.Module) -> State:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def _random_state(device: torch.device) -> list[Tensor]:
    """Of the generators that dropout and friends draw from."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


def _set_random_state(states: list[Tensor], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    for state in states[1:]:
        torch.cuda.set_rng_state(state, device)
