"""Features that are numbers already, brought to one scale."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

_MOST_DEVIATIONS = 10.0


class Standard:
    """(x - mean) / std by column, within 10 standard deviations, so that no stray value rules a prediction.

    Example:
        >>> import torch
        >>> Standard().fit(torch.tensor([[0.0, 7.0], [2.0, 7.0]])).transform(torch.tensor([[3.0, 7.0]]))
        tensor([[2., 0.]])

    Raises:
        ValueError: nothing but constant columns; rows of another width than those it was fitted to.
    """

    def fit(self, inputs: Float[Tensor, "n d"]) -> "Standard":
        """Learn mean and deviation, from training rows only; a constant column has the deviation 1."""
        wide = inputs.double()
        self._mean, deviation = wide.mean(0), wide.std(0, correction=0)
        constant = inputs.amin(0) == inputs.amax(0)
        if constant.all():
            raise ValueError(f"inputs must have a column that is not constant, got {len(constant)} that are")
        self._scale = torch.where(constant, 1.0, deviation)
        return self

    def transform(self, inputs: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """One row a row."""
        if inputs.shape[1] != len(self._mean):
            raise ValueError(f"inputs must have {len(self._mean)} columns, as in training, got {inputs.shape[1]}")
        return ((inputs - self._mean) / self._scale).clamp(-_MOST_DEVIATIONS, _MOST_DEVIATIONS).float()

    def state(self) -> dict[str, Any]:
        """Everything :meth:`from_state` needs, as plain JSON."""
        return {"mean": self._mean.tolist(), "scale": self._scale.tolist()}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Standard":
        """The transform that :meth:`state` was taken from."""
        standard = cls()
        standard._mean, standard._scale = (torch.tensor(state[name], dtype=torch.float64) for name in ("mean", "scale"))
        return standard
