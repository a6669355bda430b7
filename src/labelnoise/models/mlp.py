"""A multilayer perceptron."""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn


class MLP(nn.Module):
    """Fully connected ReLU layers over the flattened input: (n, ..) -> logits (n, k).

    >>> import torch
    >>> MLP((1, 8, 8), num_classes=10, hidden=(256,))(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 10])

    Raises:
        ValueError: a width below 1.
    """

    def __init__(self, input_shape: Sequence[int], num_classes: int, *, hidden: Sequence[int] = (256, 256)) -> None:
        super().__init__()
        if not all(width >= 1 for width in hidden):
            raise ValueError(f"hidden must hold widths of at least 1, got {list(hidden)}")
        widths = [math.prod(input_shape), *hidden]
        layers = [layer for ins, outs in pairwise(widths) for layer in (nn.Linear(ins, outs), nn.ReLU())]
        self.layers = nn.Sequential(nn.Flatten(), *layers, nn.Linear(widths[-1], num_classes))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layers(inputs)
