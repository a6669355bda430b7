"""The checks every noise model makes on what comes in: noise is a place where data enter."""

from numbers import Integral, Real

import torch
from torch import Tensor


def check_data(labels: object, *, num_classes: int, generator: object) -> None:
    """Raise a ``ValueError`` unless ``labels`` are class indices below ``num_classes`` and ``generator`` can draw."""
    check_num_classes(num_classes)
    check_labels(labels, num_classes=num_classes)
    check_generator(generator)


def check_labels(labels: object, *, num_classes: int) -> None:
    """Raise a ``ValueError`` unless ``labels`` is a row of int64 class indices in [0, num_classes)."""
    if not isinstance(labels, Tensor):
        raise ValueError(f"labels must be an int64 tensor of shape (n,), got {type(labels).__name__}")
    if labels.dtype != torch.int64 or labels.ndim != 1:
        raise ValueError(f"labels must be int64 of shape (n,), got {labels.dtype} of shape {tuple(labels.shape)}")
    for label in (labels.min().item(), labels.max().item()) if len(labels) else ():
        if not 0 <= label < num_classes:
            raise ValueError(f"labels must be within [0, {num_classes}), got {label}")


def check_generator(generator: object) -> None:
    """Raise a ``ValueError`` unless ``generator`` is a ``torch.Generator``: no global state stands in for one."""
    if not isinstance(generator, torch.Generator):
        raise ValueError(f"generator must be a torch.Generator, got {generator!r}")


def check_num_classes(num_classes: object) -> None:
    """Raise a ``ValueError`` unless there is another class to flip to."""
    if isinstance(num_classes, bool) or not isinstance(num_classes, Integral) or num_classes < 2:
        raise ValueError(f"num_classes must be an int of at least 2, got {num_classes!r}")


def check_rate(rate: object) -> None:
    """Raise a ``ValueError`` unless ``rate`` is a fraction."""
    if isinstance(rate, bool) or not isinstance(rate, Real) or not 0 <= float(rate) <= 1:
        raise ValueError(f"rate must be a fraction within [0, 1], got {rate!r}")
