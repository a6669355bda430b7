"""Open-set noise: inputs of another data set, which belong to no class of this one, under this one's labels."""

from typing import NamedTuple

import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from labelnoise.noise._check import check_generator, check_labels, check_rate

NO_CLASS = -1
"""The true label of an input that belongs to no class of the data set."""


class OpenSetRecord(NamedTuple):
    """Inputs among which some are foreign, under labels that stayed, and everything needed to check them."""

    inputs: Shaped[Tensor, "n ..."]
    """The inputs after the noise, a copy."""
    labels: Int64[Tensor, "n"]
    """The given labels: those that came in, all of them."""
    true_labels: Int64[Tensor, "n"]
    """The labels that came in, but -1 where the input was replaced: wrong, and no class would be right."""
    replaced: Int64[Tensor, "m"]
    """The rows whose input was replaced, ascending."""
    sources: Int64[Tensor, "m"]
    """The row of the other data set that each of ``replaced`` now holds; no row twice."""
    rate: float
    """Share of ``replaced``: the rate that came about, a whole number of samples."""


def open_set(
    inputs: Shaped[Tensor, "n ..."],
    labels: Int64[Tensor, "n"],
    *,
    other_inputs: Shaped[Tensor, "others ..."],
    rate: float,
    generator: torch.Generator,
) -> OpenSetRecord:
    r"""Replace the inputs of round(eta n) samples, drawn at random, by inputs of another data set; the labels stay.

    This is noise of the inputs, not of the labels: ``labels`` come back as they are, no transition matrix describes it,
    and there is no :class:`~labelnoise.noise.NoiseRecord`. So it stands outside ``build`` and ``names``, which list
    the models that turn labels into noisy labels.

    At one seed the samples replaced at a low rate are also replaced, by the same inputs, at a higher one.

    Args:
        inputs: (n, ...) training inputs of any dtype, dense.
        labels: (n,) their true classes, int64.
        other_inputs: the other data set, of the same dtype and, but for the first dimension, the same shape. Drawn
            without replacement, so at least round(eta n) of them.
        rate: eta, a fraction.
        generator: where all randomness comes from.

    Returns:
        the record.

    Raises:
        ValueError: an argument out of range or of the wrong type, inputs that do not fit, or too few others.

    Example:
        >>> cats, cars = torch.zeros(5, 2), torch.ones(9, 2)
        >>> draw = torch.Generator().manual_seed(0)
        >>> noisy = open_set(cats, torch.arange(5), other_inputs=cars, rate=0.4, generator=draw)
        >>> noisy.labels, noisy.rate
        (tensor([0, 1, 2, 3, 4]), 0.4)
        >>> torch.equal(noisy.true_labels == -1, noisy.inputs[:, 0] == 1)
        True

    Source: Wang et al. 2018 (arXiv 1804.00092), as used by Zhang and Sabuncu 2018 (arXiv 1805.07836), section 4: 40 %
    of CIFAR-10's training images replaced by images of CIFAR-100 (unverified transcription).
    """
    check_labels(labels, num_classes=torch.iinfo(torch.int64).max)
    check_rate(rate)
    check_generator(generator)
    _check_inputs(inputs, other_inputs, len(labels))
    count = round(rate * len(labels))
    if count > len(other_inputs):
        raise ValueError(
            f"other_inputs must be at least {count}, {rate} of {len(labels)} inputs, got {len(other_inputs)}"
        )

    replaced, order = _permutation(len(labels), generator)[:count].sort()
    sources = _permutation(len(other_inputs), generator)[:count][order]
    replaced, sources = replaced.to(labels.device), sources.to(labels.device)
    mixed = inputs.clone()
    mixed[replaced.to(inputs.device)] = other_inputs[sources.to(other_inputs.device)].to(inputs.device)
    true_labels = labels.index_fill(0, replaced, NO_CLASS)
    return OpenSetRecord(mixed, labels.clone(), true_labels, replaced, sources, count / max(len(labels), 1))


def _permutation(count: int, generator: torch.Generator) -> Int64[Tensor, "count"]:
    return torch.randperm(count, generator=generator, device=generator.device)


def _check_inputs(inputs: object, other_inputs: object, num_labels: int) -> None:
    inputs, other_inputs = _dense("inputs", inputs), _dense("other_inputs", other_inputs)
    if len(inputs) != num_labels:
        raise ValueError(f"inputs must have one row a label, {num_labels}, got {len(inputs)}")
    if other_inputs.dtype != inputs.dtype or other_inputs.shape[1:] != inputs.shape[1:]:
        raise ValueError(
            f"other_inputs must be {inputs.dtype} of shape (n, ...) with {tuple(inputs.shape[1:])} as inputs, "
            f"got {other_inputs.dtype} with {tuple(other_inputs.shape[1:])}"
        )


def _dense(name: str, value: object) -> Tensor:
    if not isinstance(value, Tensor) or value.layout != torch.strided or not value.ndim:
        got = f"{value.layout} {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"{name} must be a dense tensor of shape (n, ...), got {got}")
    return value
