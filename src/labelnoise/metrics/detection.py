"""How well an audit found the labels that are known to be wrong."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor

from labelnoise._types import as_tensor


class DetectionScores(NamedTuple):
    """Fractions; NaN where the truth or the list has nothing to divide by."""

    auroc: float
    """Of the ranking: the chance that a wrong label is ranked above a right one."""
    average_precision: float
    """Of the ranking."""
    precision: float
    """Of the flagged labels: the share that is wrong."""
    recall: float
    """Of the wrong labels: the share that is flagged."""


def detection_scores(
    suspicion: Float[Tensor | np.ndarray, "n"],
    is_issue: Bool[Tensor | np.ndarray, "n"],
    wrong: Bool[Tensor | np.ndarray, "n"],
) -> DetectionScores:
    """Score a ranking and a list against the truth, as tensors or as the arrays of an audit.

    Raises:
        ValueError: what does not have one value a sample each, or a suspicion that is NaN or infinite.

    >>> import torch
    >>> truth = torch.tensor([True, False, True, False])
    >>> detection_scores(torch.tensor([0.9, 0.8, 0.4, 0.1]), torch.tensor([True, True, False, False]), truth)
    DetectionScores(auroc=0.75, average_precision=0.8333333333333333, precision=0.5, recall=0.5)
    """
    suspicion, is_issue, wrong = (as_tensor(part).cpu() for part in (suspicion, is_issue, wrong))
    if suspicion.ndim != 1 or not suspicion.shape == is_issue.shape == wrong.shape:
        shapes = f"{tuple(suspicion.shape)}, {tuple(is_issue.shape)}, {tuple(wrong.shape)}"
        raise ValueError(f"suspicion, is_issue and wrong must all have shape (n,), got {shapes}")
    for name, given in (("is_issue", is_issue), ("wrong", wrong)):
        if given.dtype != torch.bool:
            raise ValueError(f"{name} must be truth values, got {given.dtype}")
    if not suspicion.isfinite().all():
        raise ValueError(f"suspicion must be finite, got {suspicion[~suspicion.isfinite()][0].item()}")
    suspicion = suspicion.double()  # NumPy has no bfloat16
    nan, found = float("nan"), int((is_issue & wrong).sum())
    flagged, errors = int(is_issue.sum()), int(wrong.sum())
    one_sided = errors in (0, len(wrong))
    return DetectionScores(
        auroc=nan if one_sided else float(roc_auc_score(wrong.numpy(), suspicion.numpy())),
        average_precision=float(average_precision_score(wrong.numpy(), suspicion.numpy())) if errors else nan,
        precision=found / flagged if flagged else nan,
        recall=found / errors if errors else nan,
    )
