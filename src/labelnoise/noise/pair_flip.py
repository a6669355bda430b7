"""Pair noise: each class is confused with the next one."""

import torch
from jaxtyping import Int64
from torch import Tensor

from labelnoise._types import NoiseRecord
from labelnoise.noise._check import check_num_classes
from labelnoise.noise.map_flip import map_flip


def pair_flip(labels: Int64[Tensor, "n"], *, rate: float, num_classes: int, generator: torch.Generator) -> NoiseRecord:
    r"""Replace a label, with probability eta, by the next class; the last class goes to the first.

    .. math:: p(\tilde y = (i + 1) \bmod k \mid y = i) = \eta

    From eta = 1/2 on, the wrong label is at least as frequent as the true one and no loss can tell them apart.

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
        >>> clean = torch.tensor([0, 1, 2])
        >>> pair_flip(clean, rate=1.0, num_classes=3, generator=torch.Generator().manual_seed(0)).labels
        tensor([1, 2, 0])

    Source: Han et al. 2018 (arXiv 1804.06872), section 4.
    """
    check_num_classes(num_classes)
    mapping = {true: (true + 1) % num_classes for true in range(num_classes)}
    return map_flip(labels, mapping=mapping, rate=rate, num_classes=num_classes, generator=generator)
