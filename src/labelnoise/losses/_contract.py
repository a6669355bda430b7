"""The contract of ``torch.nn.functional.cross_entropy`` around any function of the label's probability.

A loss hands in ``transform``, which maps cross entropies -log p and q elementwise to its own values; everything else
(class weights, ignored labels, smoothing, soft labels, dense shapes, reductions) means here what it means in torch.
"""

import inspect
from collections.abc import Callable
from numbers import Integral, Real
from typing import TypedDict

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from labelnoise._types import Reduction
from labelnoise.losses._fused import fused_cross_entropy, is_fused


def check_options(
    weight: Tensor | None,
    ignore_index: int,
    reduction: Reduction,
    label_smoothing: float,
    num_classes: int | None = None,
) -> None:
    """Refuse what torch would refuse, and a weight that would broadcast silently."""
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"reduction must be 'none', 'mean' or 'sum', got {reduction!r}")
    if not isinstance(ignore_index, Integral):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"ignore_index must be an integer, got {ignore_index!r}")
    if not isinstance(label_smoothing, Real) or not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must be within [0, 1], got {label_smoothing!r}")
    if weight is None:
        return
    check_tensors(weight=weight)
    if weight.ndim != 1 or not weight.is_floating_point() or num_classes not in (None, len(weight)):
        wanted = f"({num_classes},)" if num_classes is not None else "(k,)"
        raise ValueError(f"weight must be floating point of shape {wanted}, got {weight.dtype} {tuple(weight.shape)}")


def transformed_cross_entropy(
    transform: Callable[[Tensor, float | Tensor], Tensor],
    logits: Float[Tensor, "*logits"],
    labels: Shaped[Tensor, "*labels"],
    q: float | Float[Tensor, "..."],
    *,
    weight: Float[Tensor, "k"] | None,
    ignore_index: int,
    reduction: Reduction,
    label_smoothing: float,
) -> Float[Tensor, "*values"]:
    """sum_j y_j w_j transform(-log p_j, q), reduced like torch's cross entropy, in float32 or wider."""
    class_dim = _check_shapes(logits, labels)
    num_classes = logits.shape[class_dim]
    wide = torch.promote_types(logits.dtype, torch.float32)
    check_options(weight, ignore_index, reduction, label_smoothing, num_classes)
    soft = labels.is_floating_point()
    if soft and ignore_index >= 0:
        raise ValueError(f"ignore_index applies to class indices only, got {ignore_index} with soft labels")

    # Only the label's own probability counts, of so many classes that memory does too.
    fused = not soft and label_smoothing == 0 and is_fused(logits)
    if not fused:
        logits = logits.to(wide)  # the loss of a half-precision row would be rounded to 8 or 11 bits
    if weight is not None:
        weight = weight.to(logits.device, wide)
    if isinstance(q, Tensor):
        q = q.to(logits.device, wide)
        if q.ndim:
            check_per_sample("q", q, logits.shape[:class_dim] + logits.shape[class_dim + 1 :])

    def of_every_class() -> Tensor:
        of_sample = q.unsqueeze(class_dim) if isinstance(q, Tensor) and q.ndim else q
        values = transform(-F.log_softmax(logits, class_dim), of_sample)
        return values if weight is None else values * _along(weight, class_dim, logits.ndim)

    if soft:
        target = labels.to(wide) * (1 - label_smoothing) + label_smoothing / num_classes
        values = (of_every_class() * target).sum(class_dim)
        return _reduce(values, None, reduction)

    kept = labels != ignore_index
    try:
        if fused:
            cross_entropy = fused_cross_entropy(logits, labels, ignore_index)
        else:
            cross_entropy = F.cross_entropy(logits, labels, reduction="none", ignore_index=ignore_index)
    except IndexError as error:  # raised on the CPU only; on an accelerator labels are checked where data enter
        raise ValueError(f"labels must be within [0, {num_classes}) or ignore_index {ignore_index}: {error}") from None
    values = transform(cross_entropy, q)
    sample_weight = kept.to(values.dtype)
    if weight is not None:
        # [None]: indexing by a single label, a 0-d tensor, would read it back from the device (and fail under vmap)
        sample_weight = torch.where(kept, weight[labels.where(kept, 0)[None]][0], 0)
        values = values * sample_weight
    if label_smoothing:
        smooth = torch.where(kept, of_every_class().sum(class_dim), 0)
        values = values * (1 - label_smoothing) + smooth * (label_smoothing / num_classes)
    return _reduce(values, sample_weight, reduction)


def check_tensors(**given: Tensor) -> None:
    """Refuse arrays and lists by name, of callers that check no types."""
    for name, value in given.items():
        if not isinstance(value, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"{name} must be a tensor, got {type(value).__name__}")


def check_per_sample(name: str, value: Tensor, shape: tuple[int, ...]) -> None:
    """Refuse what is not one number a label, before it would broadcast silently."""
    check_tensors(**{name: value})
    if not value.is_floating_point() or value.shape != shape:
        raise ValueError(f"{name} must be floating point of shape {tuple(shape)}, got {_describe(value)}")


def _check_shapes(logits: Tensor, labels: Tensor) -> int:
    """The class dimension, once the shapes are known to fit without broadcasting."""
    check_tensors(logits=logits, labels=labels)
    if logits.ndim == 0 or not logits.is_floating_point():
        raise ValueError(f"logits must be floating point of shape (k), (n, k) or (n, k, d1..), got {_describe(logits)}")
    class_dim = min(1, logits.ndim - 1)
    if logits.shape[class_dim] == 0:
        raise ValueError(f"logits must have at least one class, got shape {tuple(logits.shape)}")
    without_classes = logits.shape[:class_dim] + logits.shape[class_dim + 1 :]
    if labels.is_floating_point():
        if labels.shape != logits.shape:
            raise ValueError(f"soft labels must have the logits' shape {tuple(logits.shape)}, got {_describe(labels)}")
    elif labels.dtype != torch.int64 or labels.shape != without_classes:
        raise ValueError(
            f"labels must be int64 class indices of shape {tuple(without_classes)}, got {_describe(labels)}"
        )
    return class_dim


def _reduce(values: Tensor, sample_weight: Tensor | None, reduction: Reduction) -> Tensor:
    if reduction == "none":
        return values
    if reduction == "sum":
        return values.sum()
    # Class indices are averaged by their weights, soft labels over the samples, as in torch.
    count = values.new_full((), values.numel()) if sample_weight is None else sample_weight.sum()
    return values.sum() / torch.where(count == 0, 1, count)  # nothing to average: a zero that has a gradient, not 0/0


def _along(weight: Tensor, dim: int, ndim: int) -> Tensor:
    return weight.view([-1 if d == dim else 1 for d in range(ndim)])


def _describe(tensor: Tensor) -> str:
    return f"{tensor.dtype} of shape {tuple(tensor.shape)}"


class LossOptions(TypedDict):
    """The keyword arguments every loss function takes."""

    weight: Tensor | None
    ignore_index: int
    reduction: Reduction
    label_smoothing: float


class Loss(nn.Module):
    """Base of the loss modules: holds the options they share, and gets ``forward`` from each of them."""

    weight: Tensor | None

    def __init__(
        self,
        *,
        weight: Float[Tensor, "k"] | None,
        ignore_index: int,
        reduction: Reduction,
        label_smoothing: float,
    ) -> None:
        super().__init__()
        check_options(weight, ignore_index, reduction, label_smoothing)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.reduction: Reduction = reduction
        self.label_smoothing = label_smoothing

    def options(self) -> LossOptions:
        """The keyword arguments this module passes on to its function."""
        return LossOptions(
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )

    def extra_repr(self) -> str:
        return settings_of(self)


def hold(module: nn.Module, name: str, setting: float | Tensor) -> None:
    """Keep a setting that may be a tensor, which then moves with the module."""
    if isinstance(setting, Tensor):
        module.register_buffer(name, setting)
    else:
        setattr(module, name, setting)


def settings_of(module: nn.Module) -> str:
    """The arguments of its constructor as they are shown, but for the tensors."""
    names = [name for name in inspect.signature(type(module)).parameters if name not in module._buffers]
    return ", ".join(f"{name}={getattr(module, name)!r}" for name in names)
