"""How many labels are wrong, counted by a person: which rows to look at, and what they say of all the others."""

import math
from collections.abc import Mapping
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np

_STRATA, _ROWS_A_STRATUM = 10, 10  # at most so many, of at least so many drawn rows
_PRIOR = 2.0  # rows that each stratum borrows from the whole sample
_Z95 = 1.959964


class Sample(NamedTuple):
    """Rows drawn at random, in random order."""

    index: np.ndarray  # pyright: ignore[reportIncompatibleMethodOverride] (hides tuple.index)
    """The drawn rows."""
    stratum: np.ndarray
    """The stratum of each of them, from 0."""
    strata: tuple[int, ...]
    """How many rows of the data lie in each stratum."""


class SampleEstimate(NamedTuple):
    """How many labels are wrong; fractions of the whole data."""

    rate: float
    low: float
    """Of the 95 % interval."""
    high: float


def draw_sample(p_wrong: Any, size: int, *, seed: int = 0) -> Sample:
    """Draw rows at random, of each part of the ranking by ``p_wrong`` in proportion to its length.

    The ranking is cut into up to ten parts of equal length, the strata. Each row is as likely to be drawn as any other,
    but for what is rounded to whole rows of a part, so the sample does not mislead where ``p_wrong`` does. Drawing more
    where ``p_wrong`` is doubtful (Neyman 1934) can halve the interval if it is right, and widens it by up to two thirds
    if it is not, or if no label is wrong: but whether it is right is what such a sample is drawn to learn.

    Args:
        p_wrong: (n), the probability that each label is wrong, or anything else that ranks them.
        size: rows to draw, from 2 to n.
        seed: of the draw.

    Raises:
        ValueError: a p_wrong that is no list of numbers, or a size or seed out of range.

    Example:
        >>> sample = draw_sample(np.linspace(0, 1, 1000), 20)
        >>> sample.strata, np.bincount(sample.stratum).tolist()
        ((500, 500), [10, 10])
    """
    ranked = np.asarray(p_wrong)
    if ranked.ndim != 1 or ranked.dtype.kind not in "fiu" or not np.isfinite(ranked).all():
        raise ValueError(f"p_wrong must be of shape (n,), finite numbers, got {ranked.dtype} of shape {ranked.shape}")
    n = len(ranked)
    if not isinstance(size, Integral) or not 2 <= size <= n:
        raise ValueError(f"size must be within [2, {n}], the number of rows, got {size!r}")
    if not isinstance(seed, Integral) or seed < 0:
        raise ValueError(f"seed must be a whole number, 0 or more, got {seed!r}")
    order = np.argsort(ranked, kind="stable")
    parts = min(_STRATA, max(1, size // _ROWS_A_STRATUM))
    ends = np.arange(parts + 1) * n // parts
    drawn = ends * size // n  # rounded so that no stratum is asked for more rows than it has
    random = np.random.default_rng(seed)
    index = np.concatenate(
        [
            random.choice(order[ends[part] : ends[part + 1]], drawn[part + 1] - drawn[part], replace=False)
            for part in range(parts)
        ]
    )
    mixed = random.permutation(size)
    stratum = np.repeat(np.arange(parts), np.diff(drawn))
    return Sample(index[mixed], stratum[mixed], tuple(np.diff(ends).tolist()))


def estimate_from_sample(sample: Sample, wrong: Mapping[int, bool]) -> SampleEstimate:
    r"""Estimate how many labels of the whole data are wrong from what a person found in a sample.

    The rate is :math:`\hat p = \sum_h W_h\, x_h / n_h`, with :math:`x_h` wrong ones of the :math:`n_h` rows drawn from
    stratum h, which holds the share :math:`W_h` of the data. The interval is Wilson's, as of a plain sample of
    :math:`\hat p (1 - \hat p) / V` rows (the effective size of Kott and Carr 1997), where

    .. math:: V = \sum_h W_h^2 (1 - f_h)\, \frac{\tilde p_h (1 - \tilde p_h)}{n_h - 1}

    is the variance of the rate, :math:`f_h` is the part of the stratum that was read, and :math:`\tilde p_h` is
    :math:`x_h / n_h` drawn a little towards the whole sample, as a stratum with no wrong label in ten is not sure to
    hold none. The effective size is at least that of an unstratified sample, because strata drawn in proportion do no
    worse. So the interval is no wider than Wilson's of such a sample; it shrinks to a point as all rows are read.

    It was chosen on simulated audits, 1,000 a cell, with ``p_wrong`` calibrated, random or upside down: it covered the
    true rate in 93 % or more of each cell, where a plain sample's Wilson interval did in 94 %. Beta posteriors of the
    strata, combined, covered a rate of 2 % in a fifth of the audits, as each stratum brings its own prior; exact
    limits, combined, were two to four times as wide.

    Args:
        sample: what :func:`draw_sample` drew.
        wrong: whether the given label is wrong, for every row of the sample; other rows are not used, as who looked at
            them had a reason to.

    Raises:
        ValueError: a row of the sample that is not in ``wrong``. A row is mostly left open because it is hard, and
            what is found in the easy ones says too little.

    Example:
        >>> sample = draw_sample(np.linspace(0, 1, 1000), 100)
        >>> estimate = estimate_from_sample(sample, {row: row >= 900 for row in range(1000)})
        >>> round(estimate.rate, 2), estimate.low < 0.1 < estimate.high
        (0.1, True)
    """
    rows = sample.index.tolist()
    if open_rows := [row for row in rows if row not in wrong]:
        raise ValueError(f"wrong must have every row of the sample, got {len(open_rows)} of {len(rows)} too few")
    inside = np.array(sample.strata)
    n, size = int(inside.sum()), len(rows)
    drawn = np.bincount(sample.stratum, minlength=len(inside))
    found = np.bincount(
        sample.stratum, weights=np.array([wrong[row] for row in rows], dtype=float), minlength=len(inside)
    )
    share = inside / n
    rate = float((share * found / drawn).sum())
    if size == n:
        return SampleEstimate(rate, rate, rate)
    around = (size * rate + 2) / (size + 4)  # Agresti and Coull 1998: of no wrong labels the variance is not zero
    drawn_in = (found + _PRIOR * around) / (drawn + _PRIOR)
    # A lone row says nothing of the spread in its stratum: then it is taken for that of the values it can have.
    spread = share**2 * (1 - drawn / inside) * drawn_in * (1 - drawn_in) / np.maximum(drawn - 1, 1)
    middle = float((share * drawn_in).sum())
    effective = max(middle * (1 - middle) / float(spread.sum()), size / (1 - size / n))
    low, high = _wilson(rate, effective)
    known = float(found.sum())  # wrong whatever the rest is, which may all be right or all be wrong
    return SampleEstimate(rate, max(low, known / n), min(high, (known + n - size) / n))


def _wilson(rate: float, size: float) -> tuple[float, float]:
    """Where a rate p lies that is at most 1.96 of its own standard errors from the one found (Wilson 1927)."""
    pull = _Z95**2 / size
    middle = (rate + pull / 2) / (1 + pull)
    half = math.sqrt(pull * (rate * (1 - rate) + pull / 4)) / (1 + pull)
    # Of no wrong label the lower end is 0, but not in floating point.
    return max(middle - half, 0.0) if rate else 0.0, min(middle + half, 1.0) if rate < 1 else 1.0
