"""Uniform noise, inclusive: a label is drawn anew from all classes, its own among them."""

import torch
from jaxtyping import Int64
from torch import Tensor

from labelnoise._types import NoiseRecord
from labelnoise.noise._check import check_data, check_rate
from labelnoise.noise._draw import integers, record, uniform


def symmetric_inclusive(
    labels: Int64[Tensor, "n"], *, rate: float, num_classes: int, generator: torch.Generator
) -> NoiseRecord:
    r"""Replace a label, with probability eta, by one of *all* k classes.

    .. math:: p(\tilde y = j \mid y = i) = (1 - \eta) [j = i] + \eta / k

    The share of wrong labels is eta (1 - 1/k), not eta: 0.72 for eta = 0.8 and ten classes.
    :func:`~labelnoise.noise.symmetric` is the model whose share is eta.

    Args:
        labels: (n,) true classes, int64.
        rate: eta, a fraction: the share of labels drawn anew.
        num_classes: k.
        generator: where all randomness comes from.

    Returns:
        the record, its transition matrix (k, k).

    Raises:
        ValueError: an argument out of range or of the wrong type.

    Example:
        >>> clean = torch.arange(10).repeat(10_000)
        >>> noisy = symmetric_inclusive(clean, rate=0.8, num_classes=10, generator=torch.Generator().manual_seed(0))
        >>> f"{noisy.rate:.2f}"
        '0.72'

    Source: a reading of the experiments of Zhang and Sabuncu 2018 (arXiv 1805.07836), section 4, which do not say
    whether a random label may be the true one.
    """
    check_data(labels, num_classes=num_classes, generator=generator)
    check_rate(rate)
    anew = uniform(labels, generator) < rate
    drawn = integers(0, num_classes, labels, generator)
    transition = torch.full(
        (num_classes, num_classes), rate / num_classes, dtype=torch.float64, device=labels.device
    ).fill_diagonal_(1 - rate + rate / num_classes)
    return record(labels, torch.where(anew, drawn, labels), transition)
