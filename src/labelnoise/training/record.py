"""Collects the training record: what the steps of a run said of every sample."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from labelnoise._types import Batch, TrainingRecord

_LARGEST = torch.finfo(torch.float16).max


class Recorder:
    """Writes one row an epoch from logits the step has computed anyway."""

    def __init__(self, train: Batch, epochs: int, device: torch.device) -> None:
        self._train = train
        shape = (epochs, len(train.labels))
        self.loss = torch.full(shape, math.nan, dtype=torch.float16, device=device)
        self.margin = torch.full(shape, math.nan, dtype=torch.float16, device=device)

    @torch.no_grad()
    def add(self, epoch: int, logits: Float[Tensor, "n k"], labels: Int64[Tensor, "n"], rows: Tensor) -> None:
        """Keep what the step of ``epoch`` (counted from 1) saw of the samples in ``rows``."""
        logits = logits.float()
        given = logits.gather(1, labels[:, None])
        self.loss[epoch - 1, rows] = _half(F.cross_entropy(logits, labels, reduction="none"))
        largest = logits.topk(2).values  # of the others: the largest, or the second where the given label leads
        other = torch.where(given == largest[:, :1], largest[:, 1:], largest[:, :1])
        self.margin[epoch - 1, rows] = _half((given - other)[:, 0])

    def result(self, epochs: int) -> TrainingRecord:
        """The record of the first ``epochs`` epochs, on the CPU."""
        loss, margin = self.loss[:epochs].cpu(), self.margin[:epochs].cpu()
        return TrainingRecord(self._train.index, self._train.labels.cpu(), loss, margin)


def _half(values: Tensor) -> Tensor:
    return values.clamp(-_LARGEST, _LARGEST).half()
