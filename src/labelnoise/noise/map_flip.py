"""Map noise: a class is confused with one other class, as a truck with a car."""

from collections.abc import Mapping
from numbers import Integral

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from labelnoise._types import NoiseRecord
from labelnoise.noise._check import check_num_classes, check_rate
from labelnoise.noise.class_dependent import class_dependent


def map_flip(
    labels: Int64[Tensor, "n"],
    *,
    mapping: Mapping[int, int],
    rate: float,
    num_classes: int,
    generator: torch.Generator,
) -> NoiseRecord:
    r"""Replace a label i of the map, with probability eta, by m(i); the classes outside the map stay clean.

    .. math:: p(\tilde y = m(i) \mid y = i) = \eta

    The share of wrong labels is eta times the share of the mapped classes: eta/2 for five classes of ten.

    Args:
        labels: (n,) true classes, int64.
        mapping: m, from true class to wrong class.
        rate: eta, a fraction.
        num_classes: k.
        generator: where all randomness comes from.

    Returns:
        the record, its transition matrix (k, k).

    Raises:
        ValueError: an argument out of range or of the wrong type.

    Example:
        >>> clean = torch.arange(3).repeat(10_000)
        >>> draw = torch.Generator().manual_seed(0)
        >>> noisy = map_flip(clean, mapping={0: 2}, rate=0.3, num_classes=3, generator=draw)
        >>> f"{noisy.rate:.2f}", noisy.labels[noisy.flipped].unique().tolist()
        ('0.10', [2])

    Source: Patrini et al. 2017 (arXiv 1609.03683), section 5; Zhang and Sabuncu 2018 (arXiv 1805.07836), section 4.
    """
    transition = map_transition(mapping, rate=rate, num_classes=num_classes)
    return class_dependent(labels, transition=transition, generator=generator)


def map_transition(mapping: Mapping[int, int], *, rate: float, num_classes: int) -> Float64[Tensor, "k k"]:
    """The transition matrix of a map: identity, but a row i of the map moves ``rate`` to column m(i).

    >>> map_transition({0: 2}, rate=0.25, num_classes=3)[0].tolist()
    [0.75, 0.0, 0.25]
    """
    check_num_classes(num_classes)
    check_rate(rate)
    _check_mapping(mapping, num_classes)
    transition = torch.eye(num_classes, dtype=torch.float64)
    for true, wrong in mapping.items():
        transition[true, true] -= rate
        transition[true, wrong] += rate
    return transition


def _check_mapping(mapping: object, num_classes: int) -> None:
    if not isinstance(mapping, Mapping):
        raise ValueError(f"mapping must be a mapping from class to class, got {type(mapping).__name__}")
    for pair in mapping.items():
        are_classes = all(type(label) is not bool and isinstance(label, Integral) for label in pair)
        if not are_classes or not all(0 <= int(label) < num_classes for label in pair) or pair[0] == pair[1]:
            raise ValueError(f"mapping must lead from one class in [0, {num_classes}) to another, got {pair!r}")
