"""The theory of the Lq family as functions you can call: sums over the labels, their bounds, and what noise can cost.

The equations are those of Zhang and Sabuncu, NeurIPS 2018 (arXiv 1805.07836). c is ``num_classes``, f_j the softmax
probability of class j, ``k`` the truncation threshold (in shapes, as everywhere, k counts the classes), and
L_q(p) = (1 - p^q) / q: q near 0 is cross entropy, q near 1 is half of MAE. A ``loss`` is any callable that gives one
value a sample, ``loss(logits, labels) -> (n,)``, such as ``GCELoss(0.7, reduction="none")``.

Beyond the paper, q = 0, q > 1 and k < 1/c are covered: the bounds then follow from the same convexity argument.
An argument outside its range raises a ``ValueError``.
"""

import math
from collections.abc import Callable
from numbers import Integral
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from labelnoise.losses._box_cox import lq
from labelnoise.losses.truncated_gce import check_truncation

__all__ = [
    "ExcessRisk",
    "NoisyRiskIdentity",
    "SumBounds",
    "class_dependent_excess_risk",
    "gce_sum_bounds",
    "is_symmetric",
    "noisy_risk_identity",
    "sum_over_labels",
    "truncated_gce_sum_bounds",
    "truncation_tightens",
    "uniform_noise_excess_risk",
]

PerSampleLoss = Callable[[Float[Tensor, "n k"], Int64[Tensor, "n"]], Float[Tensor, "n"]]


class SumBounds(NamedTuple):
    """Between which values sum_j loss(f, j) lies, whatever the prediction f."""

    low: float
    high: float


class ExcessRisk(NamedTuple):
    """A and A' of theorem 1, for the minimiser f* of the clean risk R and the minimiser fh of the noisy risk R^rate."""

    noisy_upper: float
    """A, where 0 <= R^rate(f*) - R^rate(fh) <= A."""
    clean_lower: float
    """A', where A' <= R(f*) - R(fh) <= 0."""


class NoisyRiskIdentity(NamedTuple):
    """The two sides of the identity, one value a set of predictions."""

    noisy_risk: Float[Tensor, "sets"]
    identity_risk: Float[Tensor, "sets"]
    gap: float
    """The largest distance between the two sides."""
    holds: bool
    """Whether rounding explains that gap."""


def sum_over_labels(loss: PerSampleLoss, logits: Float[Tensor, "n k"]) -> Float[Tensor, "n"]:
    """sum_j loss(f, j), the middle of eq. 7; a loss is symmetric where this is the same for every f (section 3.1).

    Raises ``ValueError`` where ``loss`` does not give one value a sample.

    >>> from labelnoise.losses.mae import MAELoss
    >>> sum_over_labels(MAELoss(reduction="none"), torch.tensor([[0.0, 0.0, 0.0], [9.0, 0.0, -9.0]]))
    tensor([4., 4.])
    """
    return _losses_by_label(loss, logits).sum(dim=1)


def is_symmetric(loss: PerSampleLoss, num_classes: int, *, seed: int = 0) -> bool:
    """Whether sum_j loss(f, j) is one constant (section 3.1), by random search from uniform to nearly one-hot f.

    Such a loss tolerates uniform noise below 1 - 1/c. A "no" is certain; a "yes" says that no counterexample was found.

    >>> from labelnoise.losses.gce import GCELoss
    >>> is_symmetric(GCELoss(1.0, reduction="none"), 10), is_symmetric(GCELoss(0.7, reduction="none"), 10)
    (True, False)
    """
    _check(num_classes=num_classes)
    logits = _random_logits(num_classes, torch.Generator().manual_seed(seed)).flatten(0, 1)
    values = _losses_by_label(loss, logits)
    constant = sum_over_labels(loss, torch.zeros_like(logits[:1]))
    return _is_rounding((values.sum(dim=1) - constant).abs().max().item(), values, logits)


def gce_sum_bounds(q: float, num_classes: int) -> SumBounds:
    """Eq. 7: (c - c^(1-q)) / q <= sum_j L_q(f_j) <= (c - 1) / q for q <= 1.

    The first is reached by uniform f, the second by one-hot f. They meet at q = 1, where the loss is symmetric, and
    change places above it, because p^q turns convex. At q = 0, cross entropy, they are c log c and infinity.

    >>> low, high = gce_sum_bounds(0.7, 10)
    >>> round(low, 3), round(high, 3)
    (11.435, 12.857)
    """
    _check(q=q, num_classes=num_classes)
    uniform = num_classes * lq(1 / num_classes, q)
    one_hot = (num_classes - 1) / q if q else math.inf
    return SumBounds(min(uniform, one_hot), max(uniform, one_hot))


def truncated_gce_sum_bounds(q: float, k: float, num_classes: int) -> SumBounds:
    """Eq. 11: d L_q(1/d) + (c - d) L_q(k) <= sum_j L_trunc(f_j) <= c L_q(k), d = max(1, (1-q)^(1/q) / k), for k >= 1/c.

    The low end is f shared equally by d classes, reached where d is whole; the high end is reached by uniform f.
    Below k = 1/c (not in the paper) d is at most c, and no f has all its classes at or under k. The high end is then
    reached by c - 1 classes at k and one at 1 - (c-1) k, or, for q > 1, by uniform f.

    >>> low, high = truncated_gce_sum_bounds(0.7, 0.5, 10)
    >>> round(low, 3), round(high, 3)
    (4.943, 5.492)
    """
    _check(q=q, k=k, num_classes=num_classes)
    # (1-q)^(1/q), through log1p because 1 - q rounds to 1 for tiny q; its limits are 1/e at q = 0 and 0 at q = 1
    peak = 0.0 if q >= 1 else math.exp(math.log1p(-q) / q if q else -1.0)
    d = min(float(num_classes), max(1.0, peak / k))
    lopsided = (num_classes - 1) * lq(k, q) + lq(max(k, 1 - (num_classes - 1) * k), q)
    uniform = num_classes * lq(max(k, 1 / num_classes), q)
    return SumBounds(d * lq(1 / d, q) + (num_classes - d) * lq(k, q), max(lopsided, uniform))


def truncation_tightens(q: float, k: float, num_classes: int) -> bool:
    """Whether truncation narrows the bounds on the sum: ``d [L_q(k) - L_q(1/d)] < |c^(1-q) - 1| / q`` (eq. 11, eq. 7).

    The paper is reported to claim this for every q and c when k >= 0.3. That is false near q = 1, where eq. 7 closes
    to a point and eq. 11 keeps a width of 1 - k: it holds up to q = .79 (k = .3) and .84 (k = .5) for c = 10, .89 and
    .916 for c = 100, .584 for c = 2, k = .5. At the paper's q = .7 it fails for c = 2 at k = .5 and c = 3 at k = .4.

    >>> truncation_tightens(0.7, 0.5, 10), truncation_tightens(0.7, 0.5, 2)
    (True, False)
    """
    low, high = truncated_gce_sum_bounds(q, k, num_classes)
    return high - low < abs(_one_hot_over_uniform(q, num_classes))


def uniform_noise_excess_risk(q: float, rate: float, num_classes: int) -> ExcessRisk:
    """Theorem 1: what uniform noise, exclusive of the true class, can cost Lq; needs rate < 1 - 1/c.

    ``A = rate |c^(1-q) - 1| / (q (c-1))`` bounds the noisy risk that the clean minimiser f* gives away, and
    ``-A' = rate |c^(1-q) - 1| / (q (c - 1 - rate c))`` the clean risk that the noisy minimiser fh gives away. Both hold
    for every set of classifiers, and {uniform f, one-hot f} can reach them (A' while -A' <= L_q(1/c)). They are 0 at
    q = 1, infinite at q = 0. No risk exceeds 1/q, so near it A' says nothing: it is -1.137 of 1.429 at q = .7, c = 10,
    rate = .8.

    >>> bound = uniform_noise_excess_risk(0.7, 0.4, 10)
    >>> round(bound.noisy_upper, 4), round(bound.clean_lower, 4)
    (0.0632, -0.1137)
    """
    _check(q=q, num_classes=num_classes)
    # Strict, unlike the paper's "<=": at equality the noisy labels say nothing and A' divides by zero.
    if not 0 <= rate < 1 - 1 / num_classes:
        raise ValueError(f"rate must be within [0, 1 - 1/num_classes = {1 - 1 / num_classes:g}), got {rate}")
    if rate == 0:  # no noise costs nothing, also at q = 0 where the gap is infinite
        return ExcessRisk(0.0, 0.0)
    price = rate * abs(_one_hot_over_uniform(q, num_classes))
    return ExcessRisk(price / (num_classes - 1), -price / (num_classes - 1 - rate * num_classes))


def class_dependent_excess_risk(q: float, clean_rate: float, num_classes: int) -> float:
    """Theorem 2: B = clean_rate (c^(1-q) - 1) / q, with 0 <= R^eta(f*) - R^eta(fh) <= B under class-dependent noise.

    ``clean_rate`` is E[1 - eta_y], the share of labels left as they were. The theorem needs R(f*) = 0 and
    eta_ij < 1 - eta_i for every j != i, each wrong class rarer than the kept one, which forces clean_rate > 1/c.
    It bounds the noisy risk only, and says nothing of R(fh). B = 0 for q >= 1, where one-hot f has the smallest sum.

    >>> round(class_dependent_excess_risk(0.7, 0.8, 10), 3)
    1.137
    """
    _check(q=q, num_classes=num_classes)
    if not 1 / num_classes < clean_rate <= 1:
        raise ValueError(f"clean_rate must be within (1/num_classes = {1 / num_classes:g}, 1], got {clean_rate}")
    return clean_rate * max(0.0, _one_hot_over_uniform(q, num_classes))


def noisy_risk_identity(
    loss: PerSampleLoss, *, num_classes: int = 10, rate: float = 0.4, seed: int = 0
) -> NoisyRiskIdentity:
    """R^rate = C rate/(c-1) + (1 - rate c/(c-1)) R, which makes a symmetric loss noise-tolerant (section 3.1).

    The left side is the exact expectation over uniform exclusive noise, for random labels and several sets of random
    predictions. C is sum_j loss(f, j) at uniform f: one constant for all sets. Taken from each set itself, it would
    make the identity true of every loss; so would rate 0, which is refused.

    >>> from labelnoise.losses.cce import CCELoss
    >>> from labelnoise.losses.mae import MAELoss
    >>> noisy_risk_identity(MAELoss(reduction="none")).holds, noisy_risk_identity(CCELoss(reduction="none")).holds
    (True, False)
    """
    _check(num_classes=num_classes)
    if not 0 < rate <= 1:
        raise ValueError(f"rate must be within (0, 1], got {rate}")
    generator = torch.Generator().manual_seed(seed)
    logits = _random_logits(num_classes, generator)
    labels = torch.randint(num_classes, logits.shape[:2], generator=generator)
    values = _losses_by_label(loss, logits.flatten(0, 1)).unflatten(0, logits.shape[:2])
    clean = values.gather(2, labels[..., None]).squeeze(2)
    flip = rate / (num_classes - 1)  # p(noisy label = j) of each class j but the true one
    noisy_risk = ((1 - rate) * clean + flip * (values.sum(dim=2) - clean)).mean(dim=1)
    constant = sum_over_labels(loss, torch.zeros_like(logits[0, :1]))
    identity_risk = constant * flip + (1 - num_classes * flip) * clean.mean(dim=1)
    gap = (noisy_risk - identity_risk).abs().max().item()
    return NoisyRiskIdentity(noisy_risk, identity_risk, gap, _is_rounding(gap, values, logits))


def _one_hot_over_uniform(q: float, num_classes: int) -> float:
    """(c^(1-q) - 1) / q: by how much eq. 7's sum is larger at one-hot than at uniform f; exactly 0 at q = 1."""
    return math.expm1((1 - q) * math.log(num_classes)) / q if q else math.inf


def _losses_by_label(loss: PerSampleLoss, logits: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
    """loss(f, j) of every row and every label j; a call a row, as all at once would be (n, k, k)."""
    if logits.ndim != 2 or not len(logits):
        raise ValueError(f"logits must have shape (n, k) with at least one row, got {tuple(logits.shape)}")
    num_classes = logits.shape[1]
    labels = torch.arange(num_classes, device=logits.device)
    rows = [loss(row.expand(num_classes, num_classes), labels) for row in logits]
    if rows[0].shape != labels.shape:
        got = f'{tuple(rows[0].shape)}; is reduction="none" set?'
        raise ValueError(f"loss must return one value a sample, shape ({num_classes},), got {got}")
    return torch.stack(rows)


def _random_logits(num_classes: int, generator: torch.Generator) -> Float[Tensor, "sets n k"]:
    """Five sets of 64 predictions, each surer than the last: from nearly uniform to nearly one-hot."""
    scales = torch.tensor([0.25, 1, 4, 16, 64], dtype=torch.float64)
    return scales[:, None, None] * torch.randn(5, 64, num_classes, generator=generator, dtype=torch.float64)


def _is_rounding(gap: float, values: Float[Tensor, "*n k"], logits: Float[Tensor, "*n k"]) -> bool:
    """Whether rounding explains ``gap`` between sums of ``values``: exp turns logits of size z into errors of z eps."""
    eps = torch.finfo(values.dtype).eps
    budget = eps * logits.abs().max().item() * values.abs().sum(dim=-1).max().item()
    return math.isfinite(gap) and gap <= budget  # of a loss that overflows, gap and budget are both infinite


def _check(*, q: float = 1.0, k: float = 0.5, num_classes: int) -> None:
    check_truncation(q, k)
    if not isinstance(num_classes, Integral) or num_classes < 2:
        raise ValueError(f"num_classes must be a whole number >= 2, got {num_classes}")
