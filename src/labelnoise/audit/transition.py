"""Which label is mistaken for which, read off the samples a network is surest of."""

import math
from numbers import Real

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from labelnoise._types import as_tensor

ROW_SUM_TOLERANCE = 1e-2
"""A softmax in bfloat16 is off by up to 0.4 %; logits, or one probability a class, are off by far more."""


def anchor_transition(
    pred_probs: Float[Tensor | np.ndarray, "n k"], *, quantile: float = 1.0
) -> Float64[Tensor, "k k"]:
    r"""Estimate the transition matrix of the noise: row i is the prediction for the anchor, the sample surest to be i.

    .. math::
        \hat T_{ij} = p(\tilde y = j \mid x^i), \quad x^i = \arg\max_x p(\tilde y = i \mid x)

    Where p is exact and x^i surely belongs to class i, the prediction for it is the noise itself, row i of T.

    Args:
        pred_probs: (n, k), p(noisy label | x) for unlabelled or training inputs, from a network trained with cross
            entropy on the noisy labels; a tensor or an array. The authors predict on the training inputs.
        quantile: which sample of each column is its anchor, in (0, 1]. The default, 1, is the paper's definition, the
            largest probability (the first such row, if several tie). 0.97 is the variant the authors use everywhere but
            on CIFAR-100: it passes over the surest 3 %, which a network that has begun to fit wrong labels gives nearly
            one-hot predictions. It is not the default because it takes each class to have clearly more than 3 % of the
            samples, which with more than about 30 classes is false; the anchor is then a sample of another class.

    Returns:
        T-hat, each row divided by its sum.

    Raises:
        ValueError: probabilities that are none, or a quantile out of range.

    Example:
        >>> noise = torch.tensor([[0.8, 0.2], [0.3, 0.7]])
        >>> clean = torch.tensor([[1.0, 0.0], [0.6, 0.4], [0.0, 1.0]])  # the first and the last are anchors
        >>> anchor_transition(clean @ noise)
        tensor([[0.8000, 0.2000],
                [0.3000, 0.7000]], dtype=torch.float64)

    When it hurts: many classes, few samples, or a network trained for too long, whose one-hot predictions make T-hat
    the identity, so that Forward becomes cross entropy.

    Source: Patrini et al. 2017 (arXiv 1609.03683), theorem 3; the 0.97 is in their code (giorgiop/loss-correction,
    ``experiment.py``). Deviation: they take the largest value *below* the 97th percentile, which is another row only
    if 0.97 (n - 1) is whole or values tie, and overwrite what they pass over with zeros that a later row can read.
    """
    probabilities = _checked(pred_probs, quantile)
    last = len(probabilities) - 1
    rank = last - math.floor(quantile * last)
    # stable: of equal probabilities the first row, on any machine
    anchors = [column.argsort(descending=True, stable=True)[rank] for column in probabilities.unbind(dim=1)]
    rows = probabilities[torch.stack(anchors)].double()
    return rows / rows.sum(dim=1, keepdim=True)


def _checked(pred_probs: object, quantile: object) -> Tensor:
    probabilities = as_tensor(pred_probs) if isinstance(pred_probs, Tensor | np.ndarray) else None
    if probabilities is None or not probabilities.is_floating_point():
        got = type(pred_probs).__name__ if probabilities is None else probabilities.dtype
        raise ValueError(f"pred_probs must be floating point of shape (n, k), a tensor or an array, got {got}")
    if probabilities.ndim != 2 or not probabilities.numel():
        raise ValueError(f"pred_probs must be of shape (n, k), n and k not 0, got {tuple(probabilities.shape)}")
    if not (probabilities >= 0).all():  # also catches NaN
        raise ValueError(f"pred_probs must be at least 0, got {probabilities.min().item()}")
    sums = probabilities.sum(dim=1, dtype=torch.float64)
    worst = sums[(sums - 1).abs().argmax()].item()
    if not abs(worst - 1) <= ROW_SUM_TOLERANCE:
        raise ValueError(f"pred_probs must have rows that sum to 1, got a row that sums to {worst}")
    if isinstance(quantile, bool) or not isinstance(quantile, Real) or not 0 < float(quantile) <= 1:
        raise ValueError(f"quantile must be within (0, 1], got {quantile!r}")
    return probabilities
