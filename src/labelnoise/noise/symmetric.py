"""Uniform noise, exclusive: a wrong label is always another class."""

import torch
from jaxtyping import Int64
from torch import Tensor

from labelnoise._types import NoiseRecord
from labelnoise.noise._check import check_data, check_rate
from labelnoise.noise._draw import integers, record, uniform


def symmetric(labels: Int64[Tensor, "n"], *, rate: float, num_classes: int, generator: torch.Generator) -> NoiseRecord:
    r"""Replace a label, with probability eta, by one of the k - 1 *other* classes.

    .. math:: p(\tilde y = j \mid y = i) = 1 - \eta \text{ if } j = i \text{ else } \eta / (k - 1)

    The share of wrong labels is eta itself; in :func:`~labelnoise.noise.symmetric_inclusive` it is eta (1 - 1/k). At
    one seed the labels flipped at a low rate are also flipped, to the same class, at a higher one.

    Args:
        labels: (n,) true classes, int64.
        rate: eta, a fraction.
        num_classes: k.
        generator: where all randomness comes from.

    Returns:
        the record, its transition matrix (k, k).

    Raises:
        ValueError: an argument out of range or of the wrong type.

    Example:
        >>> clean = torch.arange(10).repeat(1000)
        >>> noisy = symmetric(clean, rate=0.4, num_classes=10, generator=torch.Generator().manual_seed(0))
        >>> f"{noisy.rate:.2f}"
        '0.40'

    Source: Zhang and Sabuncu 2018 (arXiv 1805.07836), section 3.2, the noise of theorem 1.
    """
    check_data(labels, num_classes=num_classes, generator=generator)
    check_rate(rate)
    flip = uniform(labels, generator) < rate
    another = (labels + integers(1, num_classes, labels, generator)) % num_classes
    transition = torch.full(
        (num_classes, num_classes), rate / (num_classes - 1), dtype=torch.float64, device=labels.device
    ).fill_diagonal_(1 - rate)
    return record(labels, torch.where(flip, another, labels), transition)
