"""What every data set hands on."""

import hashlib
from typing import NamedTuple

import torch
from jaxtyping import Int64
from torch import Tensor

from labelnoise._types import Batch, Texts


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
        digest = hashlib.sha256()
        for part in (*self.train, self.true_labels, *self.test):
            if isinstance(part, Texts):
                # With its length before each text, no two different sequences give the same bytes.
                texts = [text.encode() for text in part]
                digest.update(f"texts({len(texts)})".encode())
                digest.update(b"".join(len(text).to_bytes(8, "little") + text for text in texts))
            else:
                digest.update(f"{part.dtype}{tuple(part.shape)}".encode())
                digest.update(part.contiguous().view(torch.uint8).numpy().data)
        return digest.hexdigest()
