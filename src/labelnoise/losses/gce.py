"""Generalized cross entropy, Lq: cross entropy at q = 0, half of MAE at q = 1, noise-robust in between."""

from jaxtyping import Float, Shaped
from torch import Tensor

from labelnoise._types import Reduction
from labelnoise.losses._box_cox import box_cox, check_q
from labelnoise.losses._contract import Loss, hold, transformed_cross_entropy


def gce_loss(
    logits: Float[Tensor, "*logits"],
    labels: Shaped[Tensor, "*labels"],
    q: float | Float[Tensor, "..."] = 0.7,
    *,
    weight: Float[Tensor, "k"] | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Float[Tensor, "*values"]:
    r"""Generalized cross entropy, :math:`L_q = (1 - p_y^q) / q`: **q near 0 is cross entropy, q near 1 is MAE**.

    For soft labels :math:`\sum_j y_j (1 - p_j^q) / q`. Its gradient is :math:`p_y^q` times that of cross entropy: the
    larger q, the less a label counts that the network does not believe.

    Args:
        logits: unnormalised scores, shape (k), (n, k) or (n, k, d1..), any float dtype.
        labels: int64 class indices of the logits' shape without k, or class probabilities of the logits' shape.
        q: 0 is cross entropy itself, 1 is 1 - p_y = MAE / 2. Above 1 the loss stays bounded (by 1/q) and turns away
            from badly fitted samples faster still; the paper stops at 1. Default 0.7: section 4 of the paper. Also a
            tensor, without gradient, of one q or of one a label; its values are not checked, since they may lie on
            an accelerator.
        weight, ignore_index, reduction, label_smoothing: see :func:`~labelnoise.losses.cce_loss`. A weight multiplies
            Lq, never the cross entropy inside it.

    Returns:
        a value in [0, 1/q], at q = 0 without bound, for each label, reduced; float32, or float64 for float64 logits.

    Raises:
        ValueError: q < 0, or a q that needs a gradient or is no floating point; what ``cce_loss`` refuses.
        RuntimeError: as of ``cce_loss``.

    Example:
        >>> import torch
        >>> logits, labels = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([0])
        >>> gce_loss(logits, labels)  # between cross entropy, 0.2395, and half of MAE, 0.2130
        tensor(0.2205)
        >>> gce_loss(logits, labels, q=0.0)
        tensor(0.2395)

    Numerics: computed as -expm1(-q ce)/q from the cross entropy ce, with the derivative exp(-q ce) written by hand.
    ``softmax`` then ``pow`` gives NaN gradients once p_y underflows, a clamp gives zero ones. From 2^22 logits on, and
    with class indices and no smoothing, one buffer of the logits' size is all that is held besides them; the same
    holds for every loss that looks at p_y alone.

    When it hurts: many classes want a smaller q (p_y^q is about k^-q at the start), and clean data want none.

    Source: Zhang and Sabuncu 2018 (arXiv 1805.07836), section 3.2.
    """
    check_q(q)
    return transformed_cross_entropy(
        box_cox,
        logits,
        labels,
        q,
        weight=weight,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


class GCELoss(Loss):
    """Module form of :func:`gce_loss`: **q near 0 is cross entropy, q near 1 is MAE**.

    Class weights, which ``nn.CrossEntropyLoss`` takes first, go by name: a tensor in the first place is a q a label.
    """

    q: float | Tensor

    def __init__(
        self,
        q: float | Float[Tensor, "..."] = 0.7,
        *,
        weight: Float[Tensor, "k"] | None = None,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing)
        check_q(q)
        hold(self, "q", q)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return gce_loss(logits, labels, self.q, **self.options())
