"""The values that travel between layers, and the two letters in every shape: n samples, k classes."""

from typing import Literal, NamedTuple

from jaxtyping import Bool, Float, Int64
from torch import Tensor

Reduction = Literal["none", "mean", "sum"]


class Batch(NamedTuple):
    """Samples on their way to a model: a mini-batch, or a whole split."""

    inputs: Tensor
    """First dimension n; the rest is the model's business."""
    labels: Int64[Tensor, "n"]
    """The given labels, right or wrong."""
    index: Int64[Tensor, "n"]  # pyright: ignore[reportIncompatibleMethodOverride] (hides tuple.index)
    """The row each sample has in its data set; joins go by it, never by position."""

    def take(self, rows: Int64[Tensor, "rows"]) -> "Batch":
        """The samples at the positions ``rows``."""
        return Batch(self.inputs[rows], self.labels[rows], self.index[rows])


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
