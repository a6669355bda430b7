"""ResNet-18 and ResNet-34 for small images, as is common: a 3x3 stem of stride 1, no max pooling."""

from collections.abc import Sequence

from torch import nn

from labelnoise.models._blocks import ResidualNetwork

_WIDTHS = (64, 128, 256, 512)


def resnet18(input_shape: Sequence[int], num_classes: int) -> nn.Module:
    """ResNet-18, two basic blocks at each of 64, 128, 256 and 512 channels: (n, c, h, w) -> logits (n, k).

    The layout of the CIFAR code in common use, with its projection shortcuts and torch's own initial weights: 11.2 M
    parameters. A global average takes the place of its 4x4 one, so that images of any size from 9x9 up will do.

    >>> import torch
    >>> resnet18((1, 28, 28), num_classes=10)(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])

    Raises:
        ValueError: an input that is no image, or smaller than 9x9.

    Source: He et al. 2016 (arXiv 1512.03385), table 1; Zhang and Sabuncu 2018 (arXiv 1805.07836), section 4.
    """
    return ResidualNetwork(input_shape, num_classes, widths=_WIDTHS, blocks=(2, 2, 2, 2))


def resnet34(input_shape: Sequence[int], num_classes: int) -> nn.Module:
    """ResNet-34, that is :func:`resnet18` with 3, 4, 6 and 3 basic blocks: (n, c, h, w) -> logits (n, k).

    21.3 M parameters; twice the time of :func:`resnet18`.

    >>> import torch
    >>> resnet34((3, 9, 9), num_classes=10)(torch.zeros(2, 3, 9, 9)).shape
    torch.Size([2, 10])

    Raises:
        ValueError: an input that is no image, or smaller than 9x9.

    Source: as of :func:`resnet18`.
    """
    return ResidualNetwork(input_shape, num_classes, widths=_WIDTHS, blocks=(3, 4, 6, 3))
