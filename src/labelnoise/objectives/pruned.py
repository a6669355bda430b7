"""Truncated Lq by alternative convex search: train, prune what the model does not believe, train on, prune anew.

Three pieces: ``is_pruning_epoch`` decides when, ``select_kept`` and ``keep_previous`` select whom, and ``PrunedLoss``
wires both to training.
"""

import copy
import math
import warnings
from collections.abc import Iterable
from numbers import Integral
from typing import Any, Literal, NamedTuple, get_args

import torch
import torch.distributed as dist
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from labelnoise.losses import GCELoss
from labelnoise.losses._box_cox import check_k
from labelnoise.losses._contract import check_tensors
from labelnoise.objectives._objective import Objective, Predict

_LISTED = 10  # names in one warning
_FEW = 0.01  # a decision that keeps less than this share is more likely a collapse than a cleaning

Update = Literal["exact", "table"]
Average = Literal["batch", "kept"]
OnEmpty = Literal["prune", "keep_previous"]
_CHOICES = {"update": get_args(Update), "average": get_args(Average), "on_empty": get_args(OnEmpty)}


class PruningWarning(UserWarning):
    """A pruning decision that leaves a class, or nearly the whole training set, without gradient."""


class Decision(NamedTuple):
    """What one pruning did; classes never seen have no entry."""

    epoch: int
    kept: float
    """Share of the training samples that stay."""
    kept_per_class: dict[int, float]
    """The same by given label."""


def is_pruning_epoch(epoch: int, *, warmup: int, period: int) -> bool:
    """Whether to prune after ``epoch`` (counted from 1): after the warm-up, and every ``period`` epochs from there.

    >>> [epoch for epoch in range(1, 100) if is_pruning_epoch(epoch, warmup=40, period=20)]
    [40, 60, 80]
    """
    return epoch >= warmup and (epoch - warmup) % period == 0


def select_kept(label_probability: Float[Tensor, "n"], k: float, previous: Bool[Tensor, "n"]) -> Bool[Tensor, "n"]:
    """Keep the samples with p_y > k (the optimal w of Algorithm 1); unknown p_y (NaN) leaves a sample as it was.

    >>> select_kept(torch.tensor([0.9, 0.5, 0.1]), 0.5, previous=torch.tensor([False, True, True]))
    tensor([ True, False, False])
    """
    return torch.where(label_probability.isnan(), previous, label_probability > k)


def keep_previous(
    kept: Bool[Tensor, "n"], previous: Bool[Tensor, "n"], labels: Int64[Tensor, "n"]
) -> Bool[Tensor, "n"]:
    """Undo the decision for every class it would empty, and altogether where it would keep under 1 %."""
    if kept.sum().item() / len(kept) < _FEW:
        return previous
    members = (labels + 1).bincount()  # the label of a sample not seen yet is -1
    emptied = (members > 0) & ((labels[kept] + 1).bincount(minlength=len(members)) == 0)
    return torch.where(emptied[labels + 1], previous, kept)


class PrunedLoss(Objective):
    r"""Alternative convex search for the truncated loss: minimises :math:`\sum_i w_i L(f(x_i), y_i)`, w in {0, 1}.

    Every w starts at 1. After epoch ``warmup``, and every ``period`` epochs from there, w is decided anew for all
    samples, w_i = 1 where p_y > k, so that a pruned sample can return. The probabilities come from the best
    noisy-validation model so far, in eval mode on unaugmented inputs, while training goes on from the current weights.
    The terms (1 - w_i) L_q(k) of the paper's objective are left out: between two prunings they are constant.

    Args:
        loss: any classification loss; it is asked for one value a sample (``reduction="none"``), so class weights
            multiply the values, while the mean goes over samples, not over weights.
        num_samples: rows of the memory, the number of training samples.
        k: the probability at or under which a sample is pruned, in (0, 1). Default 0.5: section 4 of the paper.
        warmup: epochs with every sample, fewer than the run has. Default 40, the paper's for CIFAR-10 (80 for
            CIFAR-100).
        period: epochs between prunings. Default 10, as in the public code.
        update: ``"exact"`` takes the probabilities from a pass over the training set, as Algorithm 1 does;
            ``"table"`` takes those seen in the steps of the epoch just ended, which costs nothing.
        average: ``"batch"`` divides the sum by the batch size, the paper's sum up to a constant, so steps shrink
            as pruning grows; ``"kept"`` divides by the number of samples that are kept and whose label is not ignored,
            so they do not.
        on_empty: ``"prune"`` is Algorithm 1; ``"keep_previous"`` leaves the previous decision to a class that would
            lose all its samples, and to everyone where under 1 % would be kept.
        class_names: what the warnings call the classes; their numbers without.

    Shapes:
        logits (n, k), labels (n) int64, index (n) int64 -> scalar. ``index`` counts the training samples from 0, which
        ``Batch.index``, the row in the data set, need not do; ``predict`` of ``end_epoch`` answers in that order. The
        buffer ``kept`` is the last decision, ``decisions`` lists every one, and ``epochs_pruned`` counts the epochs
        each sample was left out of.

    Raises:
        ValueError: a setting out of range, or shapes that do not fit; on the CPU also an index out of range, which
            fails in its own way on an accelerator, and probabilities of ``predict`` outside [0, 1].

    Warns:
        PruningWarning: a decision leaves a class without a sample, or next to nothing of all.

    Example:
        >>> objective = PrunedLoss(GCELoss(q=0.7), num_samples=4, warmup=1)
        >>> logits, labels = torch.tensor([[2.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 0])
        >>> objective(logits, labels, torch.tensor([0, 1]))
        tensor(0.6138)
        >>> objective.end_epoch(1, lambda: torch.tensor([0.9, 0.1, 0.8, 0.7]))
        >>> objective(logits, labels, torch.tensor([0, 1]))  # the second sample no longer counts
        tensor(0.0607)

    When it hurts: pruned too early, while p_y is still low for most clean samples, it throws the data away; a class
    the network learns late is the first to go.

    Source: Zhang and Sabuncu 2018 (arXiv 1805.07836), section 3.3, equations 12-13 and Algorithm 1.
    """

    kept: Tensor
    epochs_pruned: Tensor
    labels: Tensor
    seen: Tensor

    def __init__(
        self,
        loss: nn.Module,
        num_samples: int,
        k: float = 0.5,
        *,
        warmup: int = 40,
        period: int = 10,
        update: Update = "exact",
        average: Average = "batch",
        on_empty: OnEmpty = "prune",
        class_names: Iterable[str] | None = None,
    ) -> None:
        super().__init__()
        _check_settings(num_samples, k, warmup, period, update=update, average=average, on_empty=on_empty)
        self.loss = copy.deepcopy(loss)  # its reduction is ours to set, not the caller's
        if hasattr(loss, "reduction"):
            self.loss.reduction = "none"  # type: ignore[assignment]
        self.k, self.warmup, self.period = k, warmup, period
        self.update, self.average, self.on_empty = update, average, on_empty
        self.class_names = None if class_names is None else tuple(class_names)
        self.decisions: list[Decision] = []
        self.register_buffer("kept", torch.ones(num_samples, dtype=torch.bool))
        self.register_buffer("epochs_pruned", torch.zeros(num_samples, dtype=torch.int64))
        self.register_buffer("labels", torch.full((num_samples,), -1))
        # The table: p_y of this epoch's steps, NaN where a sample has not been seen in it.
        self.register_buffer("seen", torch.full((num_samples,), math.nan))

    def forward(self, logits: Tensor, labels: Tensor, index: Tensor) -> Tensor:
        check_tensors(logits=logits, labels=labels, index=index)
        if logits.ndim != 2 or labels.shape != logits.shape[:1] or index.shape != labels.shape:
            shapes = f"{tuple(logits.shape)}, {tuple(labels.shape)}, {tuple(index.shape)}"
            raise ValueError(f"logits, labels and index must have shapes (n, k), (n), (n), got {shapes}")
        if index.dtype != torch.int64:
            raise ValueError(f"index must be int64, got {index.dtype}")
        if self.class_names is not None and len(self.class_names) != logits.shape[1]:
            got = f"{len(self.class_names)} for {logits.shape[1]} classes"
            raise ValueError(f"class_names must name every class of the logits, got {got}")
        try:
            kept = self.kept.index_select(0, index.to(self.kept.device))  # no negative one, as kept[index] would
        except IndexError as error:  # raised on the CPU only
            raise ValueError(f"index must be within [0, {len(self.kept)}), one row a sample: {error}") from None
        values = self.loss(logits, labels)  # first: what it refuses is not to be remembered
        if values.shape != labels.shape:
            raise ValueError(
                f"loss must return one value a sample, shape {tuple(labels.shape)}, got {tuple(values.shape)}"
            )
        if self.training:
            self.remember(logits, labels, index)
        total = torch.where(kept, values, 0).sum()
        counted = kept & (labels != self._ignore_index)
        return total / (counted.sum().clamp(min=1) if self.average == "kept" else max(1, len(kept)))

    @property
    def _ignore_index(self) -> int:
        return getattr(self.loss, "ignore_index", -100)

    @torch.no_grad()
    def remember(self, logits: Tensor, labels: Tensor, index: Tensor) -> None:
        """Take note of samples that a step has seen."""
        self.labels[index] = torch.where(labels == self._ignore_index, -1, labels)
        if self.update == "table":
            loss = F.cross_entropy(logits.float(), labels, reduction="none", ignore_index=self._ignore_index)
            self.seen[index] = loss.neg().exp().to(self.seen.dtype)

    def end_epoch(self, epoch: int, predict: Predict) -> None:
        if not self.training:
            return
        self.epochs_pruned += self.kept.logical_not()
        if is_pruning_epoch(epoch, warmup=self.warmup, period=self.period):
            labels = _largest_of_all_processes(self.labels)
            if self.update == "exact":
                probability = predict()
            else:
                seen = _largest_of_all_processes(self.seen.nan_to_num(nan=-1))
                probability = torch.where(seen < 0, math.nan, seen)
            is_tensor = isinstance(probability, Tensor)  # pyright: ignore[reportUnnecessaryIsInstance]
            if not is_tensor or probability.shape != self.kept.shape:
                got = tuple(probability.shape) if is_tensor else type(probability).__name__
                wanted = f"shape {tuple(self.kept.shape)}, got {got}"
                raise ValueError(f"predict must return one probability a training sample, a tensor of {wanted}")
            if self.update == "exact":
                outside = ~((probability >= 0) & (probability <= 1))  # a NaN too
                if outside.any():
                    first = probability[outside][0].item()
                    raise ValueError(f"predict must return probabilities within [0, 1], got {first:g}")
            kept = select_kept(probability, self.k, self.kept)
            if self.on_empty == "keep_previous":
                kept = keep_previous(kept, self.kept, labels)
            self.kept.copy_(kept)
            self.decisions.append(decision := _describe(epoch, kept, labels))
            self._warn(decision)
        self.seen.fill_(math.nan)

    def _warn(self, decision: Decision) -> None:
        emptied = [label for label, kept in decision.kept_per_class.items() if kept == 0]
        names = [self.class_names[label] if self.class_names is not None else f"class {label}" for label in emptied]
        if emptied:
            listed = ", ".join(names[:_LISTED]) + f" and {len(names) - _LISTED} more" * (len(names) > _LISTED)
            warnings.warn(f"pruning after epoch {decision.epoch} keeps no sample of: {listed}", PruningWarning, 3)
        if decision.kept < _FEW:
            warnings.warn(
                f"pruning after epoch {decision.epoch} keeps {decision.kept:.2%} of the samples; "
                "start later (warmup), lower k, or set on_empty='keep_previous'",
                PruningWarning,
                stacklevel=3,
            )

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in ("k", "warmup", "period", *_CHOICES))

    def get_extra_state(self) -> list[dict[str, Any]]:
        return [decision._asdict() for decision in self.decisions]

    def set_extra_state(self, state: list[dict[str, Any]]) -> None:
        self.decisions = [Decision(**decision) for decision in state]


def pruned_gce(
    num_samples: int,
    *,
    q: float = 0.7,
    k: float = 0.5,
    warmup: int = 40,
    period: int = 10,
    update: Update = "exact",
    average: Average = "batch",
    on_empty: OnEmpty = "prune",
    class_names: Iterable[str] | None = None,
) -> PrunedLoss:
    """:class:`PrunedLoss` around Lq: the tables' "Trunc Lq". **q near 0 is cross entropy, q near 1 is MAE**.

    >>> pruned_gce(100, q=0.5, k=0.3).loss
    GCELoss(q=0.5, ignore_index=-100, reduction='none', label_smoothing=0.0)
    """
    return PrunedLoss(
        GCELoss(q),
        num_samples,
        k,
        warmup=warmup,
        period=period,
        update=update,
        average=average,
        on_empty=on_empty,
        class_names=class_names,
    )


def _describe(epoch: int, kept: Tensor, labels: Tensor) -> Decision:
    members = (labels + 1).bincount()
    shares = (labels[kept] + 1).bincount(minlength=len(members)) / members.double()  # 0 / 0 where a class has no sample
    per_class = {label: share for label, share in enumerate(shares.tolist()[1:]) if not math.isnan(share)}
    return Decision(epoch, kept.sum().item() / len(kept), per_class)


def _largest_of_all_processes(values: Tensor) -> Tensor:
    """Each process has seen some of the samples and holds -1 for the rest."""
    if dist.is_available() and dist.is_initialized():
        values = values.clone()
        dist.all_reduce(values, dist.ReduceOp.MAX)
    return values


def _check_settings(num_samples: int, k: float, warmup: int, period: int, **choices: str) -> None:
    check_k(k)
    for name, value in dict(num_samples=num_samples, warmup=warmup, period=period).items():
        if not isinstance(value, Integral) or value < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"{name} must be an integer of at least 1, got {value}")
    for name, value in choices.items():
        if value not in _CHOICES[name]:
            raise ValueError(f"{name} must be one of {_CHOICES[name]}, got {value!r}")
