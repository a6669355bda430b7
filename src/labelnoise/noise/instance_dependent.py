"""Part-dependent noise: how likely, and to which class, a label flips depends on the sample itself."""

import math
from numbers import Real

import torch
from jaxtyping import Float32, Float64, Int64, Shaped
from torch import Tensor
from torch.special import ndtr, ndtri

from labelnoise._types import NoiseRecord
from labelnoise.noise._check import check_data, check_rate
from labelnoise.noise._draw import columns, record, uniform

ROWS_AT_ONCE = 4096
"""Samples turned into probabilities together: bounds the float64 copies of their features."""


def instance_dependent(
    labels: Int64[Tensor, "n"],
    *,
    features: Shaped[Tensor, "n ..."],
    rate: float,
    num_classes: int,
    generator: torch.Generator,
    spread: float = 0.1,
) -> NoiseRecord:
    r"""Flip each label at its own rate, to a class chosen by a random projection of its features.

    .. math::
        q_i \sim N(\eta, \text{spread}^2) \text{ truncated to } [0, 1], \quad W_y \sim N(0, 1)^{d \times k}, \quad
        p(\tilde y_i \mid x_i, y_i) = q_i \, \mathrm{softmax}(x_i W_{y_i}) \text{ over the other classes}

    The features' norm sets how sharp the choice is: the scores of a sample spread by \|x\|. Public code feeds raw
    pixels, where the softmax is one-hot and similar samples flip to one class; a norm well below 1 gives uniform
    noise. Scale the features to choose.

    Args:
        labels: (n,) true classes, int64.
        features: (n, ...) numbers of any dtype, flattened to (n, d).
        rate: eta, a fraction. Truncation moves the mean of q: eta = 0 gives 0.08, eta = 0.1 gives 0.13.
        num_classes: k.
        generator: where all randomness comes from.
        spread: standard deviation of the flip rate before truncation, in (0, 1].

    Returns:
        the record. Row y of its transition matrix (k, k) is the mean of p over the samples of class y, or the
        identity's where there are none.

    Raises:
        ValueError: an argument out of range or of the wrong type.

    Example:
        >>> draw = torch.Generator().manual_seed(0)
        >>> clean, pixels = torch.arange(10).repeat(1000), torch.rand(10_000, 8, 8, generator=draw)
        >>> noisy = instance_dependent(clean, features=pixels, rate=0.4, num_classes=10, generator=draw)
        >>> f"{noisy.rate:.1f}"
        '0.4'

    Source: Xia et al. 2020 (arXiv 2006.07836), algorithm 2. Deviation: arithmetic is in float64.
    """
    check_data(labels, num_classes=num_classes, generator=generator)
    check_rate(rate)
    _check_features(features, len(labels))
    _check_spread(spread)

    flip_rates = _truncated_normal(uniform(labels, generator), mean=rate, spread=spread)
    draws = uniform(labels, generator)
    noisy = torch.empty_like(labels)
    transition = torch.eye(num_classes, dtype=torch.float64, device=labels.device)
    for label in range(num_classes):
        weights = _weights(math.prod(features.shape[1:]), num_classes, generator).to(labels.device, torch.float64)
        members = (labels == label).nonzero().flatten()
        if not len(members):
            continue
        transition[label] = 0
        for rows in members.split(ROWS_AT_ONCE):
            flat = features[rows.to(features.device)].flatten(1).to(labels.device, torch.float64)
            scores = flat @ weights
            if not scores.isfinite().all():
                raise ValueError(f"features must be small enough to be projected, got up to {flat.abs().max():.2g}")
            probabilities = _probabilities(scores, label, flip_rates[rows])
            noisy[rows] = columns(probabilities, torch.arange(len(rows), device=labels.device), draws[rows])
            transition[label] += probabilities.sum(0) / len(members)
    return record(labels, noisy, transition)


def _truncated_normal(draws: Float64[Tensor, "n"], *, mean: float, spread: float) -> Float64[Tensor, "n"]:
    """N(mean, spread^2) truncated to [0, 1], by inverting its distribution function."""
    low, high = ndtr(torch.tensor([0 - mean, 1 - mean], dtype=torch.float64, device=draws.device) / spread)
    return (mean + spread * ndtri(low + (high - low) * draws)).clamp(0, 1)


def _weights(num_features: int, num_classes: int, generator: torch.Generator) -> Float32[Tensor, "d k"]:
    return torch.randn(num_features, num_classes, dtype=torch.float32, generator=generator, device=generator.device)


def _probabilities(
    scores: Float64[Tensor, "m k"], label: int, flip_rates: Float64[Tensor, "m"]
) -> Float64[Tensor, "m k"]:
    """One row a sample: its flip rate shared out among the other classes, the rest on its own."""
    scores[:, label] = -torch.inf
    probabilities = flip_rates[:, None] * scores.softmax(dim=1)
    probabilities[:, label] = 1 - flip_rates
    return probabilities


def _check_spread(spread: object) -> None:
    if not isinstance(spread, Real) or not 0 < float(spread) <= 1:
        raise ValueError(f"spread must be within (0, 1], got {spread!r}")


def _check_features(features: object, num_labels: int) -> None:
    if not isinstance(features, Tensor) or features.ndim < 2 or len(features) != num_labels:
        got = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
        raise ValueError(f"features must be a tensor of shape (n, ...) with n = {num_labels} rows, got {got}")
    if not features.isfinite().all():
        raise ValueError("features must be finite, got NaN or infinity")
