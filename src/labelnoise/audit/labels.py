"""Which labels are wrong, how many, and what they should be: from the class probabilities of any model."""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labelnoise.audit.forward_calibration import fit_forward_calibration
from labelnoise.audit.readings import (
    ASSUMPTIONS,
    Assume,
    class_posterior,
    disagreement_rises,
    instance_posterior,
)
from labelnoise.audit.result import Audit, AuditWarning, Estimate
from labelnoise.audit.transition import ROW_SUM_TOLERANCE

_INSTANCE_SHARE = {"class": 0.0, "auto": 0.5, "instance": 1.0}
_ELEMENTS_AT_ONCE = 2**18  # 1 MiB in float32, so that the few buffers of a piece stay in the cache
_FITTED_ROWS, _FITTED_ELEMENTS = 20_000, 1_000_000  # of the random part that the calibration is fitted on
_Z95 = 1.96


def audit_labels(
    pred_probs: Any,
    labels: Any,
    *,
    class_names: Sequence[str] | None = None,
    assume: Assume = "auto",
    max_false_flags: float | None = None,
    seed: int = 0,
) -> Audit:
    r"""Tell from out-of-sample class probabilities which labels are wrong.

    p_wrong is one minus the probability that the given label is the true one,

    .. math:: p_\text{wrong} = 1 - (1 - w)\, p_\text{class}(y \mid x, y) - w\, p_\text{instance}(y \mid x),

    the mean (w = 1/2) of two readings of the same disagreement, which one set of probabilities cannot tell apart: see
    :mod:`labelnoise.audit.readings`. Both counts are reported, and the interval of the estimate spans them.

    Args:
        pred_probs: (n, k), rows that sum to 1, each from a model that has not been trained on that sample; an array
            or a tensor.
        labels: (n), the given labels, whole numbers from 0 to k - 1; classes may be rare or absent.
        class_names: k names for the tables; by default the numbers.
        assume: ``"class"`` if noise depends on the class alone, as synthetic noise does; ``"instance"`` if it sits on
            the samples that are hard, as people's errors do, and the model is as good as they are; ``"auto"`` for
            half of each, or for ``"class"`` where labels disagree more the surer the model is, which is warned of.
        max_false_flags: flag as many as keep the expected share of right labels among the flagged at or below this
            fraction; by default all with p_wrong > 1/2.
        seed: of the random part of large data that the calibration is fitted on.

    Raises:
        ValueError: shapes that do not fit, rows that are no probabilities, labels out of range, an unknown assumption.

    Example:
        >>> import numpy as np
        >>> labels = np.arange(1000) % 2
        >>> pred_probs = np.where(labels[:, None] == [[0, 1]], 0.95, 0.05)
        >>> labels[:50] = 1 - labels[:50]  # a twentieth is wrong, and the model has not fallen for it
        >>> found = audit_labels(pred_probs, labels)
        >>> int(found.is_issue.sum()), bool(found.is_issue[:50].all())
        (50, True)

    Source: ours; the parts are those of :mod:`labelnoise.audit.forward_calibration`. When it hurts: a model that is
    far weaker than whoever labelled; probabilities of samples it was trained on; noise above half of a class.
    """
    probabilities, given = _checked(pred_probs, labels)
    n, k = probabilities.shape
    if class_names is not None and len(class_names) != k:
        raise ValueError(f"class_names must be {k}, one for each column of pred_probs, got {len(class_names)}")
    if assume not in ASSUMPTIONS:
        raise ValueError(f"assume must be one of {', '.join(ASSUMPTIONS)}, got {assume!r}")
    if max_false_flags is not None and not 0 <= max_false_flags < 1:
        raise ValueError(f"max_false_flags must be a fraction within [0, 1), got {max_false_flags}")

    some = _sample(n, k, seed)
    calibration = fit_forward_calibration(probabilities[some], given[some])
    confidence, predicted = calibration.belief(probabilities[some]).max(1)
    rises = disagreement_rises(confidence, predicted != given[some])
    if rises:
        warnings.warn(
            "labels disagree with the model more often where it is surer: its folds may have seen another noise than "
            "they predict (were they shuffled?), or a part that is easy to learn is labelled wrongly",
            AuditWarning,
            stacklevel=2,
        )
    share = _INSTANCE_SHARE["class" if rises and assume == "auto" else assume]
    wrong_by_class, wrong_by_instance = torch.empty(2, n)
    suggested = torch.empty(n, dtype=torch.int64)
    joint = torch.zeros(k, k)  # given by true, in samples
    for rows in _slices(probabilities):
        belief, label = calibration.belief(probabilities[rows]), given[rows]
        by_class, by_instance = class_posterior(calibration, belief, label), instance_posterior(belief)
        wrong_by_class[rows] = 1 - by_class.gather(1, label[:, None])[:, 0]
        wrong_by_instance[rows] = 1 - by_instance.gather(1, label[:, None])[:, 0]
        posterior = by_class.lerp_(by_instance, share)
        joint.index_add_(0, label, posterior)
        own = posterior.gather(1, label[:, None])
        posterior.scatter_(1, label[:, None], own.where(own >= 0.5, -1))  # likelier wrong: the likeliest of the others
        suggested[rows] = posterior.argmax(1)
    p_wrong = wrong_by_class.lerp(wrong_by_instance, share).clamp(0, 1).double().numpy()
    return Audit(
        index=np.arange(n),
        given=given.numpy(),
        suggested=suggested.numpy(),
        p_wrong=p_wrong,
        threshold=0.5 if max_false_flags is None else _threshold(p_wrong, max_false_flags),
        estimate=_estimate(p_wrong, wrong_by_class, wrong_by_instance),
        joint=joint.T.double().numpy(),
        class_names=tuple(class_names) if class_names is not None else tuple(map(str, range(k))),
        disagreement_rises=rises,
    )


def label_quality(pred_probs: Any, labels: Any, *, assume: Assume = "auto") -> np.ndarray:
    """1 - p_wrong of :func:`audit_labels`: near 1 for a label that can be trusted, near 0 for one that is wrong.

    >>> import numpy as np
    >>> label_quality(np.tile([[0.9, 0.1], [0.2, 0.8]], (50, 1)), np.array([0, 1] * 50)).min() > 0.5
    np.True_
    """
    return audit_labels(pred_probs, labels, assume=assume).quality


def estimate_noise_rate(pred_probs: Any, labels: Any, *, assume: Assume = "auto") -> Estimate:
    """How many labels are wrong, with the interval of :func:`audit_labels`.

    >>> import numpy as np
    >>> round(estimate_noise_rate(np.tile([[0.9, 0.1], [0.2, 0.8]], (50, 1)), np.array([0, 1] * 50)).rate, 1)
    0.0
    """
    return audit_labels(pred_probs, labels, assume=assume).estimate


def estimate_transition_matrix(pred_probs: Any, labels: Any, *, assume: Assume = "auto") -> np.ndarray:
    """p(given label = column | true label = row) by :func:`audit_labels`, (k, k).

    >>> import numpy as np
    >>> estimate_transition_matrix(np.tile([[0.9, 0.1], [0.2, 0.8]], (50, 1)), np.array([0, 1] * 50)).shape
    (2, 2)
    """
    return audit_labels(pred_probs, labels, assume=assume).transition


def _checked(pred_probs: Any, labels: Any) -> tuple[Tensor, Tensor]:
    probabilities, given = torch.as_tensor(pred_probs), torch.as_tensor(labels)
    if probabilities.ndim != 2 or probabilities.shape[1] < 2 or not probabilities.is_floating_point():
        got = f"{probabilities.dtype} {tuple(probabilities.shape)}"
        raise ValueError(f"pred_probs must be floating point of shape (n, k), k at least 2, got {got}")
    n, k = probabilities.shape
    if given.shape != (n,) or given.is_floating_point() or given.is_complex() or given.dtype == torch.bool:
        raise ValueError(f"labels must be whole numbers of shape ({n},), got {given.dtype} {tuple(given.shape)}")
    if n < 2:
        raise ValueError(f"pred_probs must hold at least 2 samples, got {n}")
    low, high = int(given.min()), int(given.max())
    if low < 0 or high >= k:
        raise ValueError(f"labels must be within [0, {k}), the columns of pred_probs, got {low} to {high}")
    for rows in _slices(probabilities):
        part = probabilities[rows]
        good = (part >= 0).all(1) & ((part.sum(1, dtype=torch.float64) - 1).abs() <= ROW_SUM_TOLERANCE)
        if not good.all():
            bad = int(good.logical_not().nonzero()[0])
            values = ", ".join(f"{value:.4g}" for value in part[bad, :3].tolist())
            raise ValueError(
                f"pred_probs must have rows of at least 0 that sum to 1, got {values}, .. in row {rows.start + bad}"
            )
    return probabilities, given.long()


def _slices(probabilities: Tensor) -> list[slice]:
    n, k = probabilities.shape
    size = max(1, _ELEMENTS_AT_ONCE // k)
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def _sample(n: int, k: int, seed: int) -> Tensor:
    """Rows in random order, as many as say what there is to say of all."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))[: min(_FITTED_ROWS, _FITTED_ELEMENTS // k)]


def _estimate(p_wrong: np.ndarray, *readings: Tensor) -> Estimate:
    """The mean, and an interval from the smallest reading to the largest, each with its sampling error."""
    n, counts = len(p_wrong), sorted(reading.double().mean().item() for reading in readings)
    low, high = (
        rate + sign * _Z95 * math.sqrt(rate * (1 - rate) / n) for sign, rate in zip((-1, 1), counts, strict=True)
    )
    by_class, by_instance = (reading.double().mean().item() for reading in readings)
    return Estimate(float(p_wrong.mean()), max(low, 0.0), min(high, 1.0), by_class, by_instance)


def _threshold(p_wrong: np.ndarray, max_false_flags: float) -> float:
    """The smallest p_wrong of the longest list whose expected share of right labels is small enough."""
    ranked = np.sort(p_wrong)[::-1]
    false_share = np.cumsum(1 - ranked) / np.arange(1, len(ranked) + 1)
    ends = np.append(ranked[:-1] > ranked[1:], True)  # a list never parts labels that are equally likely wrong
    possible = np.flatnonzero(ends & (false_share <= max_false_flags))
    return float(np.nextafter(ranked[possible[-1]], 0)) if len(possible) else 1.0
