"""Forward correction: cross entropy of the prediction after it has gone through the noise."""

import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor

from labelnoise._types import Reduction
from labelnoise.losses._contract import Loss, _check_shapes
from labelnoise.losses.cce import cce_loss

# log 0, but finite: exp gives 0 all the same, and a label that no class can become has a gradient that is no NaN.
_LOG_ZERO = -1e30

_ROW_SUM_TOLERANCE = 1e-4
"""What the noise models allow: rows in float32, or printed with a few digits."""


def forward_loss(
    logits: Float[Tensor, "*logits"],
    labels: Shaped[Tensor, "*labels"],
    transition: Float[Tensor, "k k"],
    *,
    weight: Float[Tensor, "k"] | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Float[Tensor, "*values"]:
    r"""Forward-corrected cross entropy, :math:`-\log \sum_i p_i T_{iy}`: the network predicts the true label, T adds
    the noise, and the result is compared with the given label.

    For soft labels :math:`-\sum_j y_j \log \sum_i p_i T_{ij}`. With T the identity it is cross entropy. With the true,
    invertible T, the network that minimises it on noisy labels is the one that minimises cross entropy on clean ones.

    Args:
        logits: unnormalised scores of the *true* classes, shape (k), (n, k) or (n, k, d1..), any float dtype.
        labels: int64 class indices of the logits' shape without k, or class probabilities of the logits' shape.
        transition: T, (k, k), p(given label = column | true label = row): a noise record's ``transition``, or what
            :func:`~labelnoise.audit.anchor_transition` estimates. Of a tensor that may lie on an accelerator only the
            shape is checked here; :class:`ForwardLoss` checks once that the rows are distributions. (The given label's
            distribution is normalised once more, so rows that sum to 1 but for rounding are fine.)
        weight, ignore_index, reduction, label_smoothing: see :func:`~labelnoise.losses.cce_loss`; all of them are about
            the given label, after the noise.

    Returns:
        nats; a scalar, or with ``reduction="none"`` one value a label. float32, or float64 for float64 logits. A label
        that T calls impossible for every class gets 1e30.

    Raises:
        ValueError: a transition of another shape; what ``cce_loss`` refuses.
        RuntimeError: as of ``cce_loss``.

    Example:
        >>> import torch
        >>> transition = torch.tensor([[0.6, 0.4, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])  # 0 is often called 1
        >>> logits = torch.tensor([[9.0, 0.0, 0.0]])
        >>> forward_loss(logits, torch.tensor([1]), transition)  # near -log 0.4: an expected mistake
        tensor(0.9162)
        >>> forward_loss(logits, torch.tensor([2]), transition)  # cross entropy: T has no way from 0 to 2
        tensor(9.0002)

    Numerics: logsumexp of log p + log T, so nothing underflows where T has zeros; time and memory grow with n k^2. If T
    is learned, an entry that is exactly 0 gets no gradient: make T a softmax, whose entries are not.

    When it hurts: a wrong T, such as an estimated one with many classes. The paper's Forward T-hat reaches 39 % on
    CIFAR-100 with 20 % noise where cross entropy reaches 59 % (unverified transcription). A thousand classes, or dense
    predictions of a hundred, for the k^2.

    Source: Patrini et al. 2017 (arXiv 1609.03683), section 4, theorem 2.
    """
    class_dim = _check_shapes(logits, labels)
    _check_transition(transition, logits.shape[class_dim])
    if logits.itemsize < 4:
        logits = logits.float()
    transition = transition.to(logits)
    impossible = transition == 0  # filled before and after: the gradient of a clamped log of 0 would be NaN
    log_transition = transition.masked_fill(impossible, 1).log().masked_fill(impossible, _LOG_ZERO)
    log_true = F.log_softmax(logits, class_dim).movedim(class_dim, -1)
    # Log probabilities are their own logits, so cross entropy takes the noisy ones as they are.
    log_given = (log_true[..., None, :] + log_transition.mT).logsumexp(-1).movedim(-1, class_dim)
    return cce_loss(
        log_given,
        labels,
        weight=weight,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


class ForwardLoss(Loss):
    """Module form of :func:`forward_loss`; refuses a transition matrix whose rows are no distributions."""

    transition: Tensor

    def __init__(
        self,
        transition: Float[Tensor, "k k"],
        *,
        weight: Float[Tensor, "k"] | None = None,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing)
        _check_transition(transition)
        _check_rows(transition)
        self.register_buffer("transition", transition)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return forward_loss(logits, labels, self.transition, **self.options())


def _check_transition(transition: object, num_classes: int | None = None) -> None:
    wanted = "(k, k)" if num_classes is None else f"({num_classes}, {num_classes})"
    if not isinstance(transition, Tensor) or not transition.is_floating_point():
        got = transition.dtype if isinstance(transition, Tensor) else type(transition).__name__
        raise ValueError(f"transition must be a floating point tensor of shape {wanted}, got {got}")
    size = len(transition) if num_classes is None and transition.ndim else num_classes
    if transition.shape != (size, size) or not size:
        raise ValueError(f"transition must be of shape {wanted}, got {tuple(transition.shape)}")


def _check_rows(transition: Tensor) -> None:
    if not (transition >= 0).all():  # also catches NaN
        raise ValueError(f"transition must hold probabilities, got {transition.min().item()}")
    sums = transition.double().sum(dim=1)
    worst = sums[(sums - 1).abs().argmax()].item()
    if not abs(worst - 1) <= _ROW_SUM_TOLERANCE:
        raise ValueError(f"transition must have rows that sum to 1, got a row that sums to {worst}")
