"""The values that travel between layers, and the two letters in every shape: n samples, k classes."""

from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

Reduction = Literal["none", "mean", "sum"]


def as_tensor(values: Tensor | np.ndarray) -> Tensor:
    """An array as a tensor of the same numbers; copied where torch has no such strides or bytes, or it is read-only."""
    if isinstance(values, np.ndarray):
        values = np.require(values, values.dtype.newbyteorder("="), ["C", "W"])
    return torch.as_tensor(values).detach()


class Texts(tuple[str, ...]):
    """Texts that are not features yet: a tuple of strings that takes a tensor of positions or a mask, as tensors do.

    >>> import torch
    >>> texts = Texts(["one", "two", "three"])
    >>> texts[torch.tensor([2, 0])], texts[torch.tensor([True, False, True])]
    (('three', 'one'), ('one', 'three'))
    """

    __slots__ = ()

    def __getitem__(self, key: Any, /) -> Any:
        if isinstance(key, Tensor):
            key = key.nonzero().flatten() if key.dtype == torch.bool else key
            return Texts(tuple.__getitem__(self, row) for row in key.tolist())
        return super().__getitem__(key)


class SparseRows:
    """A float32 matrix that is kept as its nonzero entries; indexing by positions gives those rows as a dense tensor.

    >>> import torch
    >>> rows = SparseRows(torch.tensor([0, 1, 3]), torch.tensor([2, 0, 1]), torch.tensor([1.0, 2.0, 3.0]), columns=3)
    >>> rows[torch.tensor([1, 0])]
    tensor([[2., 3., 0.],
            [0., 0., 1.]])

    Args:
        starts: (n + 1), where each row begins among the entries; the last is their number.
        column: the column of each entry.
        value: the entries.
        columns: width of the matrix.
    """

    def __init__(
        self, starts: Int64[Tensor, "n_plus_1"], column: Int64[Tensor, "entries"], value: Tensor, *, columns: int
    ) -> None:
        self.starts, self.column, self.value = starts, column, value
        self.shape = torch.Size([len(starts) - 1, columns])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Int64[Tensor, "rows"]) -> Float[Tensor, "rows columns"]:
        taken = self.take(rows)
        row = torch.repeat_interleave(torch.arange(len(rows), device=taken.starts.device), taken.starts.diff())
        dense = torch.zeros(taken.shape, dtype=self.value.dtype, device=self.value.device)
        return dense.index_put_((row, taken.column), taken.value)

    def take(self, rows: Int64[Tensor, "rows"]) -> "SparseRows":
        """The rows at these positions, still sparse."""
        rows = rows.to(self.starts.device)
        first, length = self.starts[rows], self.starts.diff()[rows]
        starts = torch.cat([length.new_zeros(1), length.cumsum(0)])
        entries = torch.arange(int(starts[-1]), device=rows.device)
        entries += torch.repeat_interleave(first - starts[:-1], length)
        return SparseRows(starts, self.column[entries], self.value[entries], columns=self.shape[1])

    def to(self, device: torch.device) -> "SparseRows":
        """The same on ``device``."""
        moved = (part.to(device) for part in (self.starts, self.column, self.value))
        return SparseRows(*moved, columns=self.shape[1])


class Batch(NamedTuple):
    """Samples on their way to a model: a mini-batch, or a whole split."""

    inputs: Any
    """A tensor whose first dimension is n, the rest being the model's business; :class:`SparseRows`; or texts."""
    labels: Int64[Tensor, "n"]
    """The given labels, right or wrong."""
    index: Int64[Tensor, "n"]  # pyright: ignore[reportIncompatibleMethodOverride] (hides tuple.index)
    """The row each sample has in its data set; joins go by it, never by position."""

    def take(self, rows: Int64[Tensor, "rows"]) -> "Batch":
        """The samples at the positions ``rows``."""
        inputs = self.inputs.take(rows) if isinstance(self.inputs, SparseRows) else self.inputs[rows]
        return Batch(inputs, self.labels[rows], self.index[rows])


class NoiseRecord(NamedTuple):
    """Noisy labels and everything needed to check them against the truth."""

    labels: Int64[Tensor, "n"]
    """The labels after noise."""
    flipped: Bool[Tensor, "n"]
    """Whether the label really differs from the one that came in."""
    rate: float
    """Share of ``flipped``: the rate that came about, not the one asked for."""
    transition: Float[Tensor, "k k"]
    """p(noisy label = column | true label = row) of the model that drew the noise, float64."""


class TrainingRecord(NamedTuple):
    """What one run saw of each training sample, epoch by epoch, from the logits of the training step itself.

    float16 holds both to three digits at 4 bytes a sample and epoch. ``loss`` is kept instead of p_y because
    p_y = exp(-loss) loses nothing, and float16 p_y would be 0 for the badly fitted samples the audit looks for.
    """

    index: Int64[Tensor, "n"]  # pyright: ignore[reportIncompatibleMethodOverride] (hides tuple.index)
    """The row each training sample has in its data set."""
    labels: Int64[Tensor, "n"]
    """The given labels the run was trained on."""
    loss: Float[Tensor, "epochs n"]
    """Cross entropy of the given label in nats, whatever loss was trained."""
    margin: Float[Tensor, "epochs n"]
    """Logit of the given label minus the largest other logit; negative where the model prefers another."""

    @property
    def label_probability(self) -> Float[Tensor, "epochs n"]:
        """p_y, the probability the model gave to the given label, float32."""
        return self.loss.float().neg().exp()
