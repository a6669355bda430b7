"""LeNet-5 with ReLU and max pooling, for images from 4x4 up."""

from collections.abc import Sequence

from torch import Tensor, nn


class LeNet(nn.Module):
    """Two padded 5x5 convolutions and three linear layers (LeCun et al. 1998): (n, c, h, w) -> logits (n, k).

    Both convolutions are padded, so that an 8x8 image keeps 2x2 features; the original pads neither.

    >>> import torch
    >>> LeNet((1, 8, 8), num_classes=10)(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 10])

    Raises:
        ValueError: an input that is no image, or smaller than 4x4.
    """

    def __init__(self, input_shape: Sequence[int], num_classes: int) -> None:
        super().__init__()
        if len(input_shape) != 3 or min(input_shape[1:]) < 4:
            raise ValueError(f"input_shape must be (channels, height, width) of at least 4x4, got {tuple(input_shape)}")
        channels, height, width = input_shape
        self.features = nn.Sequential(
            nn.Conv2d(channels, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(16 * (height // 4) * (width // 4), 120), nn.ReLU(),
            nn.Linear(120, 84), nn.ReLU(),
            nn.Linear(84, num_classes),
        )  # fmt: skip

    def forward(self, inputs: Tensor) -> Tensor:
        return self.classifier(self.features(inputs))
