"""Class-dependent noise: any row-stochastic matrix of flip probabilities."""

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from labelnoise._types import NoiseRecord
from labelnoise.noise._check import check_generator, check_labels
from labelnoise.noise._draw import columns, record, uniform

ROW_SUM_TOLERANCE = 1e-4
"""Rows in float32, or printed with a few digits, are divided by their sum; what is further off is a mistake."""


def class_dependent(
    labels: Int64[Tensor, "n"], *, transition: Float[Tensor, "k k"], generator: torch.Generator
) -> NoiseRecord:
    r"""Draw each noisy label from its true class's row of a transition matrix.

    .. math:: p(\tilde y = j \mid y = i) = T_{ij}

    Args:
        labels: (n,) true classes, int64.
        transition: T, (k, k), one row a true class, each summing to one.
        generator: where all randomness comes from.

    Returns:
        the record, its transition matrix T in float64.

    Raises:
        ValueError: an argument out of range or of the wrong type.

    Example:
        >>> confusing = torch.tensor([[0.7, 0.3], [0.0, 1.0]])
        >>> clean = torch.arange(2).repeat(10_000)
        >>> noisy = class_dependent(clean, transition=confusing, generator=torch.Generator().manual_seed(0))
        >>> f"{noisy.flipped[clean == 0].double().mean():.2f}", noisy.flipped[clean == 1].any().item()
        ('0.30', False)

    Source: Zhang and Sabuncu 2018 (arXiv 1805.07836), section 3.2, the noise of theorem 2.
    """
    transition = _checked(transition)
    check_labels(labels, num_classes=len(transition))
    check_generator(generator)
    transition = transition.to(labels.device)
    return record(labels, columns(transition, labels, uniform(labels, generator)), transition)


def _checked(transition: object) -> Float64[Tensor, "k k"]:
    if not isinstance(transition, Tensor) or not transition.is_floating_point():
        got = transition.dtype if isinstance(transition, Tensor) else type(transition).__name__
        raise ValueError(f"transition must be a floating point tensor of shape (k, k), got {got}")
    if transition.ndim != 2 or transition.shape[0] != transition.shape[1] or not len(transition):
        raise ValueError(f"transition must be of shape (k, k), got {tuple(transition.shape)}")
    transition = transition.double()
    if not (transition >= 0).all():  # also catches NaN
        raise ValueError(f"transition must hold probabilities, got {transition.min().item()}")
    sums = transition.sum(dim=1, keepdim=True)
    worst = sums.flatten()[(sums - 1).abs().argmax()].item()
    if not abs(worst - 1) <= ROW_SUM_TOLERANCE:
        raise ValueError(f"transition must have rows that sum to 1, got a row that sums to {worst}")
    return transition / sums
