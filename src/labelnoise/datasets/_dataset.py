"""What every data set hands on."""

import hashlib
from typing import NamedTuple

import torch

from labelnoise._types import Batch


class Dataset(NamedTuple):
    """Training and test data as preloaded tensors."""

    name: str
    train: Batch
    test: Batch
    """Clean, and never used to choose anything."""
    class_names: tuple[str, ...]

    @property
    def checksum(self) -> str:
        """SHA-256 of every bit a run can see; part of the run's identity."""
        digest = hashlib.sha256()
        for tensor in (*self.train, *self.test):
            digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
            digest.update(tensor.contiguous().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()
