"""The small ResNets made for CIFAR, of any depth 6n + 2 and any width."""

from collections.abc import Sequence

from torch import nn

from labelnoise.models._blocks import ResidualNetwork


def small_resnet(input_shape: Sequence[int], num_classes: int, *, depth: int = 20, width: int = 16) -> nn.Module:
    """A ResNet of n blocks at each of ``width``, 2 ``width`` and 4 ``width`` channels: (n, c, h, w) -> logits (n, k).

    ``depth`` = 6n + 2 counts 6n convolutions in the blocks, the stem and the linear layer. The original is 16 wide and
    has at least 20 layers.

    >>> import torch
    >>> small_resnet((1, 8, 8), num_classes=10, depth=8, width=4)(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 10])

    Raises:
        ValueError: a depth that is not 6n + 2, a width below 1, an input that is no image or smaller than 5x5.

    Source: He et al. 2016 (arXiv 1512.03385), section 4.2. Ours differs in two points: where the channels double the
    shortcut is a 1x1 convolution with BatchNorm (their option B), not a zero padding (A), so that all our ResNets share
    one block, at 1 % more parameters (ResNet-20: 272,474 instead of 269,722); and the initial weights are torch's own.
    """
    if depth < 8 or depth % 6 != 2:
        raise ValueError(f"depth must be 6n + 2 (8, 14, 20, ..), got {depth}")
    if width < 1:
        raise ValueError(f"width must be at least 1, got {width}")
    blocks = (depth - 2) // 6
    return ResidualNetwork(input_shape, num_classes, widths=(width, 2 * width, 4 * width), blocks=(blocks,) * 3)
