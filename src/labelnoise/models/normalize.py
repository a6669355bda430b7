"""The layer in front of a network that takes images as they are stored."""

import math
from collections.abc import Generator, Sequence

import torch
from torch import Tensor, nn

_ELEMENTS_AT_ONCE = 2**18  # 2 MiB in float64


class Normalize(nn.Module):
    """(x - mean) / std by channel, uint8 scaled to [0, 1] first: (n, c, h, w) uint8 or float -> (n, c, h, w) float32.

    Mean and standard deviation are buffers: they travel in the ``state_dict``, and their dtype is the result's. Images
    that are float already are taken to have the scale of ``mean`` and ``std``.

    >>> images = torch.tensor([[[[0, 255]]]], dtype=torch.uint8)
    >>> Normalize(mean=[0.5], std=[0.25])(images)
    tensor([[[[-2.,  2.]]]])

    Raises:
        ValueError: means or deviations that are not finite, a deviation that is not above 0, not one of each a channel;
            inputs of another number of channels or another dtype.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if not mean or len(mean) != len(std):
            raise ValueError(f"mean and std must hold one value a channel, got {len(mean)} and {len(std)}")
        if not all(map(math.isfinite, [*mean, *std])) or min(std) <= 0:
            raise ValueError(f"mean must be finite and std above 0, got mean {list(mean)} and std {list(std)}")
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32))

    @staticmethod
    def fit(inputs: Tensor) -> "Normalize":
        """The layer that gives ``inputs``, a whole training set (n, c, h, w), mean 0 and variance 1 in every channel.

        Goes through them piece by piece in float64, which takes a few MiB whatever their number.

        >>> Normalize.fit(torch.tensor([[[[0, 255]]]], dtype=torch.uint8)).std
        tensor([0.5000])

        Raises:
            ValueError: no images, or a channel in which every pixel is the same.
        """
        if inputs.ndim != 4 or not inputs.numel():
            raise ValueError(f"inputs must be images (n, c, h, w), got shape {tuple(inputs.shape)}")
        per_channel = inputs.numel() // inputs.shape[1]
        mean, squares = torch.zeros(2, inputs.shape[1], 1, 1, dtype=torch.float64, device=inputs.device)
        for piece in _pieces(inputs):
            mean += piece.sum((0, 2, 3))[:, None, None] / per_channel
        for piece in _pieces(inputs):
            squares += (piece - mean).square_().sum((0, 2, 3))[:, None, None]
        # Asked of the pixels themselves: rounding of the mean may leave a constant channel a deviation of 1e-17.
        constant = inputs.amin((2, 3)).amin(0) == inputs.amax((2, 3)).amax(0)
        if constant.any():
            raise ValueError(f"inputs must vary in every channel, got one value throughout {constant.sum()} of them")
        return Normalize(mean.flatten().tolist(), (squares / per_channel).sqrt().flatten().tolist())

    def forward(self, inputs: Tensor) -> Tensor:
        if inputs.ndim != 4 or inputs.shape[1] != len(self.mean):
            wanted = f"(n, {len(self.mean)}, h, w)"
            raise ValueError(f"inputs must be images {wanted}, got shape {tuple(inputs.shape)}")
        scale = 1 / (self.std * _largest(inputs))
        shift = -self.mean / self.std
        # In place on one copy: more buffers of fresh pages can cost ten times the arithmetic.
        copy = inputs.to(self.mean.dtype, copy=True)
        return copy.mul_(scale[:, None, None]).add_(shift[:, None, None])


def _pieces(inputs: Tensor) -> Generator[Tensor]:
    rows = max(1, _ELEMENTS_AT_ONCE // inputs[0].numel())
    return (piece.to(torch.float64) / _largest(inputs) for piece in inputs.split(rows))


def _largest(inputs: Tensor) -> int:
    """What white is."""
    if inputs.dtype == torch.uint8:
        return 255
    if inputs.is_floating_point():
        return 1
    raise ValueError(f"inputs must be uint8 or floating point, got {inputs.dtype}")
