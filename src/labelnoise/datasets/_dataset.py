"""What every data set hands on."""

from typing import NamedTuple

from jaxtyping import Int64
from torch import Tensor

from labelnoise._types import Batch
from labelnoise.datasets._checksum import checksum


class Dataset(NamedTuple):
    """Training and test data, held in memory; images as uint8 (n, c, h, w), texts as ``Texts`` until featurised."""

    name: str
    train: Batch
    """With the labels as given, wrong ones included."""
    true_labels: Int64[Tensor, "n"]
    """Of the training samples, where known; the given labels themselves where nothing better is known."""
    test: Batch
    """Clean, and never used to choose anything."""
    class_names: tuple[str, ...]

    @property
    def checksum(self) -> str:
        """SHA-256 of every bit a run can see; part of the run's identity."""
        return checksum(*self.train, self.true_labels, *self.test)
