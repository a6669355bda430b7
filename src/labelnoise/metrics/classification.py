"""How good a classifier is, class by class."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from labelnoise._types import as_tensor


class ClassificationScores(NamedTuple):
    """Fractions; NaN without samples."""

    accuracy: float
    balanced_accuracy: float
    """Mean recall of the classes that have samples."""
    macro_f1: float
    """Mean F1 of the classes that have samples or are predicted."""
    recall_per_class: list[float | None]
    """None for a class without samples."""


def classification_scores(
    predicted: Int64[Tensor | np.ndarray, "n"], labels: Int64[Tensor | np.ndarray, "n"], num_classes: int
) -> ClassificationScores:
    """Score predictions against labels, as tensors or as the arrays of an audit.

    Raises:
        ValueError: what is not int64 of shape (n,) both, or no class, as open-set noise's true label -1.

    >>> classification_scores(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]), num_classes=3)  # doctest: +ELLIPSIS
    ClassificationScores(accuracy=0.66..., balanced_accuracy=0.75, macro_f1=0.66..., recall_per_class=[1.0, 0.5, None])
    """
    predicted, labels = (as_tensor(part).cpu() for part in (predicted, labels))
    for name, classes in {"predicted": predicted, "labels": labels}.items():
        if classes.dtype != torch.int64 or classes.ndim != 1 or classes.shape != labels.shape:
            got = f"{classes.dtype} of shape {tuple(classes.shape)}"
            raise ValueError(f"{name} must be int64 of shape (n,), as many as labels, got {got}")
        if ((classes < 0) | (classes >= num_classes)).any():
            raise ValueError(
                f"{name} must be classes within [0, {num_classes}), got {classes.min()} to {classes.max()}"
            )
    confusion = torch.zeros(num_classes, num_classes, dtype=torch.float64)
    confusion.index_put_((labels, predicted), torch.ones(len(labels), dtype=torch.float64), accumulate=True)
    hits, given, guessed = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    there, seen = given > 0, (given + guessed) > 0
    recall = hits / given
    return ClassificationScores(
        accuracy=(hits.sum() / given.sum()).item(),
        balanced_accuracy=recall[there].mean().item(),
        macro_f1=(2 * hits / (given + guessed))[seen].mean().item(),
        recall_per_class=[value if exists else None for value, exists in zip(recall.tolist(), there, strict=True)],
    )
