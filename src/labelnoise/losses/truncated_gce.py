"""Truncated Lq: constant, so without gradient, for labels the network gives a probability of k or less."""

import math

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from labelnoise._types import Reduction
from labelnoise.losses._box_cox import box_cox, check_k, check_q, lq
from labelnoise.losses._contract import Loss, transformed_cross_entropy


def truncated_gce_loss(
    logits: Float[Tensor, "*logits"],
    labels: Shaped[Tensor, "*labels"],
    q: float = 0.7,
    k: float = 0.5,
    *,
    weight: Float[Tensor, "k"] | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Float[Tensor, "*values"]:
    r"""Truncated Lq: :math:`L_q(k)` where :math:`p_y \le k`, else :math:`L_q(p_y)`; no gradient at and below k.

    This is the stateless definition, which decides anew at every step. From random weights nearly every p_y is about
    1/(number of classes), so training with it from the first epoch learns next to nothing; the paper trains with Lq
    first and then prunes now and then, which is :class:`~labelnoise.objectives.PrunedLoss` (``pruned_gce``).

    Args:
        logits, labels: see :func:`~labelnoise.losses.gce_loss`; of a soft label every class is truncated by itself.
        q: **q near 0 is cross entropy, q near 1 is MAE**. Default 0.7: section 4 of the paper.
        k: the probability at which the loss becomes constant, in (0, 1). Default 0.5: section 4 of the paper.
            In shapes k counts the classes.
        weight, ignore_index, reduction, label_smoothing: see :func:`~labelnoise.losses.cce_loss`.

    Returns:
        a value in [0, L_q(k)] for each label, reduced; float32, or float64 for float64 logits.

    Raises:
        ValueError: q < 0 or a tensor as q, k outside (0, 1); what ``cce_loss`` refuses.
        RuntimeError: as of ``cce_loss``.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[2.0, 0.0, 0.0]])
        >>> truncated_gce_loss(logits, torch.tensor([0]))  # p_y = 0.79: Lq itself
        tensor(0.2205)
        >>> truncated_gce_loss(logits, torch.tensor([1]))  # p_y = 0.11: the constant L_q(k)
        tensor(0.5492)

    When it hurts: early in training, and classes the network never gets above k: they receive no gradient at all.

    Source: Zhang and Sabuncu 2018 (arXiv 1805.07836), section 3.3.
    """
    check_truncation(q, k)
    ceiling, constant = -math.log(k), lq(k, q)
    return transformed_cross_entropy(
        # Not `<` with the sides swapped: a NaN has to stay one.
        lambda cross_entropy, q: torch.where(cross_entropy >= ceiling, constant, box_cox(cross_entropy, q)),
        logits,
        labels,
        q,
        weight=weight,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


class TruncatedGCELoss(Loss):
    """Module form of :func:`truncated_gce_loss`: **q near 0 is cross entropy, q near 1 is MAE**."""

    def __init__(
        self,
        q: float = 0.7,
        k: float = 0.5,
        *,
        weight: Float[Tensor, "k"] | None = None,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing)
        check_truncation(q, k)
        self.q, self.k = q, k

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return truncated_gce_loss(logits, labels, self.q, self.k, **self.options())


def check_truncation(q: float, k: float) -> None:
    """Refuse what is no exponent, and no probability to truncate at."""
    if isinstance(q, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance] (that of gce_loss may be one)
        raise ValueError(f"q must be a number here, got a tensor of shape {tuple(q.shape)}")
    check_q(q)
    check_k(k)
