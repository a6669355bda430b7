"""Which labels are wrong, told from how training went: a wrong label is fitted late and against the grain."""

from typing import NamedTuple

from jaxtyping import Bool, Float
from torch import Tensor

from labelnoise._types import TrainingRecord


class RecordAudit(NamedTuple):
    """One row a training sample, in the order of the record."""

    suspicion: Float[Tensor, "n"]
    """Minus the mean logit margin over the epochs: the higher, the more likely the label is wrong."""
    is_issue: Bool[Tensor, "n"]
    """Whether the model preferred another label on average, that is, suspicion > 0."""


def audit_record(record: TrainingRecord) -> RecordAudit:
    r"""Rank the labels of one training run by :math:`-\frac1E \sum_e (z_y - \max_{j \ne y} z_j)`.

    The mean margin is the "area under the margin" of Pleiss et al. 2020 (arXiv 2001.10528); their threshold needs an
    extra class of fake labels, ours is zero: the point at which the run preferred another label on average.

    Example:
        >>> import torch
        >>> margins = torch.tensor([[2.0, -1.0], [4.0, -2.0]])  # two epochs, two samples
        >>> record = TrainingRecord(torch.arange(2), torch.zeros(2, dtype=torch.int64), margins.abs(), margins)
        >>> audit_record(record)
        RecordAudit(suspicion=tensor([-3.0000,  1.5000]), is_issue=tensor([False,  True]))
    """
    suspicion = -record.margin.float().mean(0)
    return RecordAudit(suspicion, suspicion > 0)
