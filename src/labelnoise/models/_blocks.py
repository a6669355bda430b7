"""What the residual networks share: the basic block, and the network that is a stem and stages of such blocks."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn


def stage(channels: int, width: int, *, blocks: int, stride: int) -> nn.Sequential:
    """``blocks`` basic blocks, the first of which widens and shrinks: (n, channels, h, w) -> (n, width, h', w')."""
    others = (BasicBlock(width, width, stride=1) for _ in range(blocks - 1))
    return nn.Sequential(BasicBlock(channels, width, stride=stride), *others)


class BasicBlock(nn.Module):
    """ReLU(F(x) + shortcut(x)), F two 3x3 convolutions: (n, channels, h, w) -> (n, width, ceil(h / stride), ..).

    The shortcut is the identity where the shapes agree, else a 1x1 convolution with BatchNorm (option B).

    Source: He et al. 2016 (arXiv 1512.03385), figure 2 and section 3.3.
    """

    def __init__(self, channels: int, width: int, *, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width),
        )  # fmt: skip
        if stride == 1 and channels == width:
            self.shortcut = nn.Identity()
        else:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        self.activation = nn.ReLU(inplace=True)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.activation(self.residual(inputs) + self.shortcut(inputs))


class ResidualNetwork(nn.Module):
    """A 3x3 stem, one stage a width, each halving the image but the first, and a global average: -> logits (n, k).

    The last map must be larger than 1x1, or BatchNorm could not train on a last batch of one sample.

    Raises:
        ValueError: an input that is no image, or too small.
    """

    def __init__(
        self, input_shape: Sequence[int], num_classes: int, *, widths: Sequence[int], blocks: Sequence[int]
    ) -> None:
        super().__init__()
        least = 2 ** (len(widths) - 1) + 1
        if len(input_shape) != 3 or min(input_shape[1:]) < least:
            size = f"{least}x{least}"
            raise ValueError(
                f"input_shape must be (channels, height, width) of at least {size}, got {tuple(input_shape)}"
            )
        self.stem = nn.Sequential(
            nn.Conv2d(input_shape[0], widths[0], 3, padding=1, bias=False), nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
        )  # fmt: skip
        self.stages = nn.Sequential(
            stage(widths[0], widths[0], blocks=blocks[0], stride=1),
            *(stage(*pair, blocks=count, stride=2) for pair, count in zip(pairwise(widths), blocks[1:], strict=True)),
        )
        self.classifier = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], num_classes))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.classifier(self.stages(self.stem(inputs)))
