"""Which labels are wrong, how many, and what they should be: from the class probabilities of any model."""

import math
import warnings
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labelnoise.audit.forward_calibration import ForwardCalibration, fit_forward_calibration
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
_ELEMENTS_AT_ONCE = 2**17  # half a MiB in float32, so that the few buffers of a piece stay in the cache
_ROWS_PER_SUM = 2**16  # in float32, whose rounding then stays below 1e-5 of a sum
_FITTED_ROWS, _FITTED_ELEMENTS = 20_000, 2_500_000  # of the random part that the calibration is fitted on
_Z95 = 1.96


@torch.inference_mode(False)
@torch.enable_grad()  # for the fit, whatever mode the caller predicted in
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
        max_false_flags: of the labels with p_wrong > 1/2, which are flagged by default, flag only as many as keep the
            expected share of right ones among them at or below this fraction. An expectation under the reading:
            where the model was misled the list may hold more.
        seed: of the random part of large data that the calibration is fitted on.

    Returns:
        what was found of every sample, of the classes and of all.

    Raises:
        ValueError: shapes or dtypes that do not fit, fewer than two rows or classes, rows that are no probabilities,
            labels out of range, names that are not k different ones, an unknown assumption, a ``max_false_flags`` or
            a seed out of range.

    Warns:
        AuditWarning: labels disagree more the surer the model is.

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
    probabilities, given = _array("pred_probs", pred_probs, "f"), _array("labels", labels, "iu").astype(np.int64)
    _check(probabilities, given)
    n, k = probabilities.shape
    names = tuple(map(str, range(k) if class_names is None else class_names))
    if len(names) != k or len(set(names)) != k:
        raise ValueError(f"class_names must be {k} different ones, as pred_probs has columns, got {names}")
    if assume not in ASSUMPTIONS:
        raise ValueError(f"assume must be one of {', '.join(ASSUMPTIONS)}, got {assume!r}")
    if max_false_flags is not None and not (isinstance(max_false_flags, Real) and 0 <= max_false_flags < 1):
        raise ValueError(f"max_false_flags must be a fraction within [0, 1), got {max_false_flags!r}")

    some = _sample(n, k, seed)
    part, label = _piece(probabilities, given, some)
    calibration = fit_forward_calibration(part, label)
    rises = disagreement_rises(calibration.belief(part), label)
    if rises:
        warnings.warn(
            "labels disagree with the model more often where it is surer: its folds may have seen another noise than "
            "they predict (were they shuffled?), or a part that is easy to learn is labelled wrongly",
            AuditWarning,
            stacklevel=4,  # past the two decorators
        )
    reading = "class" if rises and assume == "auto" else assume
    share = _INSTANCE_SHARE[reading]
    wrong_by_class, wrong_by_instance, suggested, joint = _read(probabilities, given, calibration, share)
    p_wrong = ((1 - share) * wrong_by_class + share * wrong_by_instance).astype(np.float64)
    by_class, by_instance = (float(wrong.mean(dtype=np.float64)) for wrong in (wrong_by_class, wrong_by_instance))
    return Audit(
        index=np.arange(n),
        given=given,
        suggested=suggested,
        p_wrong=p_wrong,
        threshold=0.5 if max_false_flags is None else max(0.5, _threshold(p_wrong, max_false_flags)),
        estimate=Estimate(float(p_wrong.mean()), *_interval(by_class, by_instance, len(some)), by_class, by_instance),
        joint=joint,
        class_names=names,
        reading=reading,
        disagreement_rises=rises,
    )


def label_quality(pred_probs: Any, labels: Any, *, assume: Assume = "auto") -> np.ndarray:
    """1 - p_wrong of :func:`audit_labels`: near 1 for a label that can be trusted, near 0 for one that is wrong.

    Raises ``ValueError`` for what :func:`audit_labels` refuses.

    >>> import numpy as np
    >>> label_quality(np.tile([[0.9, 0.1], [0.2, 0.8]], (50, 1)), np.array([0, 1] * 50)).min() > 0.5
    np.True_
    """
    return audit_labels(pred_probs, labels, assume=assume).quality


def estimate_noise_rate(pred_probs: Any, labels: Any, *, assume: Assume = "auto") -> Estimate:
    """How many labels are wrong, with the interval of :func:`audit_labels`.

    Raises ``ValueError`` for what :func:`audit_labels` refuses.

    >>> import numpy as np
    >>> pred_probs = np.random.default_rng(0).dirichlet([0.2, 0.2, 0.2], size=1000)
    >>> labels = pred_probs.argmax(1)
    >>> labels[:100] = (labels[:100] + 1) % 3  # a tenth is wrong
    >>> round(estimate_noise_rate(pred_probs, labels).rate, 2)
    0.1
    """
    return audit_labels(pred_probs, labels, assume=assume).estimate


def estimate_transition_matrix(pred_probs: Any, labels: Any, *, assume: Assume = "auto") -> np.ndarray:
    """p(given label = column | true label = row) by :func:`audit_labels`, (k, k); ``ForwardLoss`` wants it as a tensor.

    Raises ``ValueError`` for what :func:`audit_labels` refuses.

    >>> import numpy as np
    >>> estimate_transition_matrix(np.tile([[0.9, 0.1], [0.2, 0.8]], (50, 1)), np.array([0, 1] * 50)).shape
    (2, 2)
    """
    return audit_labels(pred_probs, labels, assume=assume).transition


def _array(name: str, values: Any, kinds: str) -> np.ndarray:
    """As NumPy sees it, whatever holds it; a memory map stays one."""
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        values = (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    array = np.asarray(values)
    if array.dtype.kind not in kinds:
        wanted = "floating point" if kinds == "f" else "whole numbers"
        raise ValueError(f"{name} must be {wanted}, got {array.dtype}")
    return array


def _check(probabilities: np.ndarray, given: np.ndarray) -> None:
    if probabilities.ndim != 2 or probabilities.shape[0] < 2 or probabilities.shape[1] < 2:
        raise ValueError(f"pred_probs must be of shape (n, k), both at least 2, got {probabilities.shape}")
    n, k = probabilities.shape
    if given.shape != (n,):
        raise ValueError(f"labels must be of shape ({n},), one for each row of pred_probs, got {given.shape}")
    low, high = int(given.min()), int(given.max())
    if low < 0 or high >= k:
        raise ValueError(f"labels must be within [0, {k}), the columns of pred_probs, got {low} to {high}")
    for rows in _slices(0, n, k):
        part = probabilities[rows]
        sums = part.sum(1, dtype=np.result_type(part, np.float32))
        if part.min() >= 0 and abs(sums - 1).max() <= ROW_SUM_TOLERANCE:  # neither holds for NaN
            continue
        bad = int(((part >= 0).all(1) & (abs(sums - 1) <= ROW_SUM_TOLERANCE)).argmin())
        values = ", ".join(f"{value:.4g}" for value in part[bad, :3])
        raise ValueError(
            f"pred_probs must have rows of at least 0 that sum to 1, got {values}, .. in row {rows.start + bad}"
        )


def _read(
    probabilities: np.ndarray, given: np.ndarray, calibration: ForwardCalibration, share: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """p_wrong by class and by instance, the suggestions, and the joint counts (true by given).

    In few and mostly in-place steps over pieces: what counts here is how often memory is walked.
    """
    n, k = probabilities.shape
    right_by_class, right_by_instance = torch.empty(2, n)
    others = torch.empty(n, dtype=torch.int64)  # the likeliest label but the given one
    joint = torch.zeros(k, k, dtype=torch.float64)  # given by true, in samples
    for start in range(0, n, _ROWS_PER_SUM):
        counts = torch.zeros(k, k)
        for rows in _slices(start, min(start + _ROWS_PER_SUM, n), k):
            part, label = _piece(probabilities, given, rows)
            own, scores = label[:, None], calibration.scores(part)
            by_class = class_posterior(calibration, scores, label)
            by_instance = instance_posterior(scores, out=scores)
            right_by_class[rows] = by_class.gather(1, own)[:, 0]
            right_by_instance[rows] = by_instance.gather(1, own)[:, 0]
            posterior = by_class.lerp_(by_instance, share)
            counts.index_add_(0, label, posterior)
            others[rows] = torch.from_numpy(posterior.scatter_(1, own, -1).numpy().argmax(1))  # far faster than torch's
        joint += counts
    right = right_by_class.lerp(right_by_instance, share)
    suggested = torch.where(right >= 0.5, torch.from_numpy(given), others)
    wrong_by_class, wrong_by_instance = (
        (1 - right).clamp_(min=0).numpy() for right in (right_by_class, right_by_instance)
    )
    return wrong_by_class, wrong_by_instance, suggested.numpy(), joint.T.numpy()


def _slices(start: int, stop: int, k: int) -> list[slice]:
    size = max(1, _ELEMENTS_AT_ONCE // k)
    return [slice(first, min(first + size, stop)) for first in range(start, stop, size)]


def _piece(probabilities: np.ndarray, given: np.ndarray, rows: Any) -> tuple[Tensor, Tensor]:
    """To be read only: the caller's own memory, where its layout allows."""
    part = np.require(probabilities[rows], np.float32, ["C", "W"])  # W, since torch warns of what it must not change
    if min(part.strides) < 0:  # of a single row, which NumPy takes for contiguous whatever its stride
        part = part.copy()
    return torch.from_numpy(part), torch.from_numpy(given[rows])


def _sample(n: int, k: int, seed: int) -> np.ndarray:
    """Rows in random order, all or so many."""
    if not isinstance(seed, Integral) or seed < 0:
        raise ValueError(f"seed must be a whole number, 0 or more, got {seed!r}")
    return np.random.default_rng(seed).permutation(n)[: max(2, min(_FITTED_ROWS, _FITTED_ELEMENTS // k))]


def _interval(by_class: float, by_instance: float, fitted: int) -> tuple[float, float]:
    """From the smaller reading to the larger, with the sampling error of the rows that the calibration rests on."""
    low, high = sorted((by_class, by_instance))
    error_low, error_high = (_Z95 * math.sqrt(rate * (1 - rate) / fitted) for rate in (low, high))
    return max(low - error_low, 0.0), min(high + error_high, 1.0)


def _threshold(p_wrong: np.ndarray, max_false_flags: float) -> float:
    """The smallest p_wrong of the longest list whose expected share of right labels is small enough."""
    ranked = np.sort(p_wrong)[::-1]
    false_share = np.cumsum(1 - ranked) / np.arange(1, len(ranked) + 1)
    ends = np.append(ranked[:-1] > ranked[1:], True)  # a list never parts labels that are equally likely wrong
    possible = np.flatnonzero(ends & (false_share <= max_false_flags))
    return float(np.nextafter(ranked[possible[-1]], 0)) if len(possible) else 1.0
