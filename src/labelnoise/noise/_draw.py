"""What the noise models share: one draw a label from the generator, and the record of what came out.

Draws are made where the generator lives and then moved to the labels, so a seed means the same noise on any device.
"""

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from labelnoise._types import NoiseRecord


def uniform(labels: Int64[Tensor, "n"], generator: torch.Generator) -> Float64[Tensor, "n"]:
    """One number in [0, 1) for each label.

    Drawn as float32 and widened: it is at most 1 - 2^-24, so :func:`columns` can add a row index to it exactly.
    """
    draws = torch.rand(len(labels), dtype=torch.float32, generator=generator, device=generator.device)
    return draws.to(labels.device, torch.float64)


def integers(low: int, high: int, labels: Int64[Tensor, "n"], generator: torch.Generator) -> Int64[Tensor, "n"]:
    """One integer in [low, high) for each label."""
    return torch.randint(low, high, (len(labels),), generator=generator, device=generator.device).to(labels.device)


def columns(
    probabilities: Float64[Tensor, "rows k"], row: Int64[Tensor, "n"], draws: Float64[Tensor, "n"]
) -> Int64[Tensor, "n"]:
    """Column j with probability ``probabilities[row_i, j]``, by inverting that row's distribution function at a draw.

    The rows are laid end to end, row r on the interval (r, r + 1], so that one search serves all labels and nothing
    of shape (n, k) is made.
    """
    num_rows, num_columns = probabilities.shape
    edges = probabilities.cumsum(dim=1)
    edges = edges / edges[:, -1:]  # the last edge is exactly 1, and so is every edge before a run of zeros at the end
    edges = edges + torch.arange(num_rows, device=edges.device)[:, None]
    # right=True: a column of probability zero has no width, and is never the first edge beyond a draw.
    return torch.searchsorted(edges.flatten(), row + draws, right=True) - row * num_columns


def record(labels: Int64[Tensor, "n"], noisy: Int64[Tensor, "n"], transition: Float64[Tensor, "k k"]) -> NoiseRecord:
    """The noisy labels beside what they changed; the rate of no labels is 0."""
    flipped = noisy != labels
    return NoiseRecord(noisy, flipped, flipped.sum().item() / max(len(labels), 1), transition)
