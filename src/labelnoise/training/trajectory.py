"""What a run believed of its own training samples before it began to fit their noise."""

from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor


class Trajectory:
    r"""Mean class probabilities of every training sample over the epochs up to the best one.

    .. math:: \bar p_i = \frac{1}{E} \sum_{e \le E} p_e(x_i),

    p_e being what the step of epoch e saw, that is, before it learned from the sample once more, and E the best
    noisy-validation epoch, or ``least_epochs`` where that is later: on few rows that are easily told apart a network
    that has hardly begun gets them all right, and is sure of none.

    A network fits what samples share before it fits single wrong labels (Arpit et al. 2017, arXiv 1706.05394);
    validation marks where the second begins, also for a loss that is not robust, and the mean over epochs damps what
    one epoch happens to say (compare the mean margin of :func:`labelnoise.audit.audit_record`). An audit can use it as
    if a model that has not seen the samples had made it; docs/fit.md measures that against cross-validation.

    Args:
        num_samples: training samples, n.
        num_classes: classes, k; two float32 tables of (n, k) are held.
        device: where the logits are.
        least_epochs: how far the mean goes however early the best epoch is.

    Example:
        >>> trajectory = Trajectory(1, 2, torch.device("cpu"))
        >>> trajectory.add(torch.tensor([[0.0, 0.0]]), torch.tensor([0]))
        >>> trajectory.end_epoch(1, is_best=True)
        >>> trajectory.probability
        tensor([[0.5000, 0.5000]])
    """

    def __init__(self, num_samples: int, num_classes: int, device: torch.device, *, least_epochs: int = 0) -> None:
        self.least_epochs = least_epochs
        self._sum = torch.zeros(num_samples, num_classes, device=device)
        self.probability: Float[Tensor, "n k"] = torch.full_like(self._sum, 1 / num_classes)

    @torch.no_grad()
    def add(self, logits: Float[Tensor, "batch k"], rows: Int64[Tensor, "batch"]) -> None:
        """What a step saw of the samples in ``rows``."""
        self._sum[rows] += logits.float().softmax(1)

    def end_epoch(self, epoch: int, *, is_best: bool) -> None:
        """Once every sample has been seen in ``epoch``, counted from 1."""
        if is_best or epoch <= self.least_epochs:
            self.probability = self._sum / epoch

    def state_dict(self) -> dict[str, Any]:
        return {"sum": self._sum, "probability": self.probability}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._sum, self.probability = (state[name].to(self._sum.device) for name in ("sum", "probability"))
