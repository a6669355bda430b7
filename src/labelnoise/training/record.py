"""Collects the training record: what the steps of a run said of every sample."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from labelnoise._types import Batch, TrainingRecord

_LARGEST = torch.finfo(torch.float16).max


class Recorder:
    """Writes one row an epoch from logits the step has computed anyway: for :func:`labelnoise.audit.audit_record`.

    Args:
        train: the training split; ``rows`` of :meth:`add` are positions in it.
        epochs: at most so many; a sample and epoch costs 4 bytes.
        device: where the logits are.

    Example:
        >>> recorder = Recorder(Batch(torch.zeros(2, 1), torch.tensor([0, 1]), torch.arange(2)), 1, torch.device("cpu"))
        >>> recorder.add(1, torch.tensor([[0.0, 0.0], [3.0, 1.0]]), torch.tensor([0, 1]), torch.arange(2))
        >>> recorder.result(1).margin
        tensor([[ 0., -2.]], dtype=torch.float16)
    """

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
