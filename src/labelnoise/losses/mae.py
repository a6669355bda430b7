"""Mean absolute error between the softmax output and the one-hot label: symmetric, and slow to train."""

from jaxtyping import Float, Shaped
from torch import Tensor

from labelnoise._types import Reduction
from labelnoise.losses._box_cox import box_cox
from labelnoise.losses._contract import Loss, transformed_cross_entropy


def mae_loss(
    logits: Float[Tensor, "*logits"],
    labels: Shaped[Tensor, "*labels"],
    *,
    weight: Float[Tensor, "k"] | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Float[Tensor, "*values"]:
    r"""Mean absolute error, :math:`\lVert e_y - p \rVert_1 = 2 (1 - p_y)`: exactly twice Lq at q = 1.

    For soft labels :math:`\sum_j y_j\, 2 (1 - p_j)`. Summed over all labels it is the constant 2 (k - 1) whatever the
    prediction, which makes it tolerant to uniform noise of any rate below (k - 1)/k.

    Args:
        logits, labels, weight, ignore_index, reduction, label_smoothing: see :func:`~labelnoise.losses.cce_loss`.

    Returns:
        a value in [0, 2] for each label, reduced; float32, or float64 for float64 logits.

    Raises:
        ValueError: what ``cce_loss`` refuses.
        RuntimeError: as of ``cce_loss``.

    Example:
        >>> import torch
        >>> mae_loss(torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([0]))
        tensor(0.4260)

    When it hurts: many classes, or few epochs. Its gradient is 2 p_y times that of cross entropy, about 2/k at the
    start, so with many classes training hardly begins: the slides report 38.29 % on CIFAR-100 as the best of 2000
    epochs, which cross entropy passes after 7.

    Source: Ghosh et al. 2017 (arXiv 1712.09482); Zhang and Sabuncu 2018 (arXiv 1805.07836), section 3.1.
    """
    return transformed_cross_entropy(
        lambda cross_entropy, q: 2 * box_cox(cross_entropy, q),
        logits,
        labels,
        1.0,
        weight=weight,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


class MAELoss(Loss):
    """Module form of :func:`mae_loss`."""

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
        return mae_loss(logits, labels, **self.options())
