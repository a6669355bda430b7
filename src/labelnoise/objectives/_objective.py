"""What the training loop asks of whatever it minimises."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from jaxtyping import Float, Int64
from torch import Tensor, nn

Predict = Callable[[], Float[Tensor, "num_samples"]]
"""p_y of every training sample, from the best noisy-validation model so far, in eval mode on unaugmented inputs."""


class Objective(nn.Module, ABC):
    """A loss that may remember something of each sample: buffers of one row a sample, addressed by ``index``.

    ``index`` numbers the training samples from 0 to num_samples - 1. Memory changes in train mode only, a sample seen
    twice leaves it as one seen once, and ``state_dict`` holds all of it.
    """

    warmup: int = 0
    """Epochs before the memory changes anything."""

    @abstractmethod
    def forward(
        self, logits: Float[Tensor, "n k"], labels: Int64[Tensor, "n"], index: Int64[Tensor, "n"]
    ) -> Float[Tensor, ""]:
        """The scalar to minimise for one mini-batch."""

    def end_epoch(self, epoch: int, predict: Predict) -> None:
        """Update the memory after ``epoch`` (counted from 1), where there is one; ``predict`` costs a pass."""
