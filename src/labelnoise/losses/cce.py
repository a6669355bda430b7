"""Categorical cross entropy: the baseline, under the contract of every other loss here."""

from jaxtyping import Float, Shaped
from torch import Tensor

from labelnoise._types import Reduction
from labelnoise.losses._box_cox import box_cox
from labelnoise.losses._contract import Loss, transformed_cross_entropy


def cce_loss(
    logits: Float[Tensor, "*logits"],
    labels: Shaped[Tensor, "*labels"],
    *,
    weight: Float[Tensor, "k"] | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Float[Tensor, "*values"]:
    r"""Categorical cross entropy, :math:`-\log p_y`: the loss that every number of the paper is compared with.

    It is ``torch.nn.functional.cross_entropy`` but for three things, which hold for every loss of this package: half
    precision logits are computed and returned in float32, the mean of an empty or fully masked batch is a zero that
    has a gradient, and from 2^22 logits on autograd has no second derivative (``torch.func`` has).

    Args:
        logits: unnormalised scores, shape (k), (n, k) or (n, k, d1..), any float dtype.
        labels: int64 class indices of the logits' shape without k, or class probabilities of the logits' shape.
        weight: one factor a class, multiplied onto the loss value.
        ignore_index: a label that counts for nothing; class indices only.
        reduction: ``"mean"`` (weighted, as in torch), ``"sum"`` or ``"none"``.
        label_smoothing: share of the label spread evenly over all classes, in [0, 1].

    Returns:
        nats; a scalar, or with ``reduction="none"`` one value a label. float32, or float64 for float64 logits.

    Raises:
        ValueError: shapes or dtypes that do not fit, an option out of range, and on the CPU a label out of range.
        RuntimeError: a backward through the backward of 2^22 logits or more.

    Example:
        >>> import torch
        >>> cce_loss(torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([0]))
        tensor(0.2395)

    When it hurts: wrong labels. A sample's gradient grows as 1/p_y, so the labels the network disagrees with most,
    the wrong ones, pull hardest, and in the end are fitted.

    Source: Zhang and Sabuncu 2018 (arXiv 1805.07836), section 3.1; Lq at q = 0.
    """
    return transformed_cross_entropy(
        box_cox,
        logits,
        labels,
        0.0,
        weight=weight,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


class CCELoss(Loss):
    """Module form of :func:`cce_loss`; ``nn.CrossEntropyLoss`` with its options by name only."""

    def __init__(
        self,
        *,
        weight: Float[Tensor, "k"] | None = None,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return cce_loss(logits, labels, **self.options())
