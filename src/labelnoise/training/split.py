"""Set apart a noisy validation set: the only data that may choose anything."""

import torch
from jaxtyping import Int64
from torch import Tensor


def split_validation(
    labels: Int64[Tensor, "n"], *, fraction: float, generator: torch.Generator
) -> tuple[Int64[Tensor, "train"], Int64[Tensor, "validation"]]:
    """Random rows for training and validation, every given label in the same proportion (to within one sample).

    The labels stay as noisy as they are: a validation set that had been cleaned would not exist in practice.

    >>> train, validation = split_validation(
    ...     torch.tensor([0] * 8 + [1] * 2), fraction=0.5, generator=torch.Generator().manual_seed(0)
    ... )
    >>> len(train), len(validation)
    (5, 5)

    Raises:
        ValueError: a fraction that leaves either part without a sample.
    """
    n = len(labels)
    held_out = round(n * fraction)
    if not 0 < held_out < n:
        raise ValueError(f"fraction must leave samples on both sides of the split, got {fraction} of {n}")
    shuffled = torch.randperm(n, generator=generator)
    by_label = shuffled[labels[shuffled].argsort(stable=True)]
    start = torch.rand(1, generator=generator, dtype=torch.float64)  # else rare labels always fall on the same side
    evenly = ((torch.arange(held_out) + start) * (n / held_out)).long().clamp(max=n - 1)
    is_validation = torch.zeros(n, dtype=torch.bool)
    is_validation[by_label[evenly]] = True
    return is_validation.logical_not().nonzero().squeeze(1), is_validation.nonzero().squeeze(1)
