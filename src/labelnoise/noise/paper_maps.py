"""The class-dependent noise of Zhang and Sabuncu 2018 (arXiv 1805.07836), section 4: the maps, a model of each."""

import torch
from jaxtyping import Int64
from torch import Tensor

from labelnoise._types import NoiseRecord
from labelnoise.noise.map_flip import map_flip

CIFAR10_MAP = {9: 1, 2: 0, 4: 7, 3: 5, 5: 3}
"""Truck to automobile, bird to airplane, deer to horse, cat and dog to each other."""

FASHION_MNIST_MAP = {9: 7, 7: 5, 2: 6, 4: 3, 3: 4}
"""Ankle boot to sneaker, sneaker to sandal, pullover to shirt, coat and dress to each other."""

CIFAR100_SUPERCLASSES = (
    (4, 30, 55, 72, 95),
    (1, 32, 67, 73, 91),
    (54, 62, 70, 82, 92),
    (9, 10, 16, 28, 61),
    (0, 51, 53, 57, 83),
    (22, 39, 40, 86, 87),
    (5, 20, 25, 84, 94),
    (6, 7, 14, 18, 24),
    (3, 42, 43, 88, 97),
    (12, 17, 37, 68, 76),
    (23, 33, 49, 60, 71),
    (15, 19, 21, 31, 38),
    (34, 63, 64, 66, 75),
    (26, 45, 77, 79, 99),
    (2, 11, 35, 46, 98),
    (27, 29, 44, 78, 93),
    (36, 50, 65, 74, 80),
    (47, 52, 56, 59, 96),
    (8, 13, 48, 58, 90),
    (41, 69, 81, 85, 89),
)
"""The fine labels of each coarse label, as the data set gives them. Fine labels are numbered alphabetically, so the
index blocks 0-4, 5-9, ... that other repositories flip within are *not* the superclasses."""

CIFAR100_CIRCULAR = {true: (true + 1) % 100 for true in range(100)}
"""Each class to the next, one cycle over all hundred."""

CIFAR100_SUPERCLASS = {
    true: wrong for group in CIFAR100_SUPERCLASSES for true, wrong in zip(group, group[1:] + group[:1], strict=True)
}
"""Each class to the next of its superclass, twenty cycles of five."""


def cifar10_map(labels: Int64[Tensor, "n"], *, rate: float, generator: torch.Generator) -> NoiseRecord:
    """Truck to automobile (9 to 1), bird to airplane (2 to 0), deer to horse (4 to 7), cat and dog (3 and 5) swap.

    Half of the classes flip, so eta/2 of balanced labels are wrong; see :func:`map_flip`.

    Args:
        labels: (n,) true classes, int64.
        rate: eta, within [0, 1].
        generator: decides which labels flip.

    Raises:
        ValueError: labels that are no classes of the data set, or a rate out of range.

    Example:
        >>> clean = torch.arange(10)
        >>> cifar10_map(clean, rate=1.0, generator=torch.Generator().manual_seed(0)).labels
        tensor([0, 1, 0, 5, 7, 3, 6, 7, 8, 1])

    Source: Zhang and Sabuncu 2018 (arXiv 1805.07836), section 4; the map is that of Patrini et al. 2017
    (arXiv 1609.03683), section 5.
    """
    return map_flip(labels, mapping=CIFAR10_MAP, rate=rate, num_classes=10, generator=generator)


def fashion_mnist_map(labels: Int64[Tensor, "n"], *, rate: float, generator: torch.Generator) -> NoiseRecord:
    """Boot to sneaker (9 to 7), sneaker to sandal (7 to 5), pullover to shirt (2 to 6), coat and dress (4 and 3) swap.

    Half of the classes flip, so eta/2 of balanced labels are wrong; arguments and errors as of :func:`cifar10_map`.

    Example:
        >>> clean = torch.arange(10)
        >>> fashion_mnist_map(clean, rate=1.0, generator=torch.Generator().manual_seed(0)).labels
        tensor([0, 1, 6, 4, 3, 5, 6, 5, 8, 7])

    Source: Zhang and Sabuncu 2018 (arXiv 1805.07836), section 4 (an unverified transcription).
    """
    return map_flip(labels, mapping=FASHION_MNIST_MAP, rate=rate, num_classes=10, generator=generator)


def cifar100_circular(labels: Int64[Tensor, "n"], *, rate: float, generator: torch.Generator) -> NoiseRecord:
    """Each class to the next, one cycle over all hundred.

    Every class flips, so eta of the labels are wrong; arguments and errors as of :func:`cifar10_map`.

    Example:
        >>> clean = torch.tensor([0, 98, 99])
        >>> cifar100_circular(clean, rate=1.0, generator=torch.Generator().manual_seed(0)).labels
        tensor([ 1, 99,  0])

    Source: Zhang and Sabuncu 2018 (arXiv 1805.07836), section 4; whether the paper's cycle is this one or
    :func:`cifar100_superclass` is unsettled.
    """
    return map_flip(labels, mapping=CIFAR100_CIRCULAR, rate=rate, num_classes=100, generator=generator)


def cifar100_superclass(labels: Int64[Tensor, "n"], *, rate: float, generator: torch.Generator) -> NoiseRecord:
    """Each class to the next of its superclass, twenty cycles of five.

    The superclasses are the data set's coarse labels, and no blocks of five consecutive fine ones, which are numbered
    alphabetically. Every class flips, so eta of the labels are wrong; arguments and errors as of :func:`cifar10_map`.

    Example:
        >>> clean = torch.tensor([4, 30, 95])
        >>> cifar100_superclass(clean, rate=1.0, generator=torch.Generator().manual_seed(0)).labels
        tensor([30, 55,  4])

    Source: Zhang and Sabuncu 2018 (arXiv 1805.07836), section 4; see :func:`cifar100_circular`.
    """
    return map_flip(labels, mapping=CIFAR100_SUPERCLASS, rate=rate, num_classes=100, generator=generator)
