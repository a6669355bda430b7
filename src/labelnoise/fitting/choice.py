"""Which model is kept: noisy validation decides, and shows how sure it is."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor


class Score(NamedTuple):
    """The accuracy on held-out labels, wrong ones among them; of samples, or the mean over the classes."""

    accuracy: float
    standard_error: float


def score(predicted: Int64[Tensor, "n"], labels: Int64[Tensor, "n"], *, balanced: bool) -> Score:
    """Accuracy and its standard error.

    >>> score(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 1]), balanced=False)
    Score(accuracy=0.75, standard_error=0.21650635094610965)
    """
    return _mean((predicted == labels).double(), labels, balanced=balanced)


def choose(scores: Sequence[Score]) -> int:
    """The position of the highest accuracy; of equal ones the first.

    >>> choose([Score(0.5, 0.1), Score(0.6, 0.1), Score(0.6, 0.1)])
    1
    """
    return max(range(len(scores)), key=lambda position: (scores[position].accuracy, -position))


def is_better(
    challenger: Int64[Tensor, "n"], holder: Int64[Tensor, "n"], labels: Int64[Tensor, "n"], *, balanced: bool
) -> tuple[bool, Score]:
    """Whether one prediction beats another by more than the standard error of the difference, which comes along.

    Both are of the same samples, so the error is that of the paired difference, which is smaller than either's own.

    >>> labels = torch.tensor([0, 1] * 50)
    >>> is_better(labels, 1 - labels, labels, balanced=False)
    (True, Score(accuracy=1.0, standard_error=0.0))
    """
    difference = (challenger == labels).double() - (holder == labels).double()
    result = _mean(difference, labels, balanced=balanced)
    return result.accuracy > result.standard_error, result


def _mean(values: Float[Tensor, "n"], labels: Int64[Tensor, "n"], *, balanced: bool) -> Score:
    weight = 1 / labels.bincount()[labels].double() if balanced else torch.ones_like(values)
    weight = weight / weight.sum()
    mean = (weight * values).sum()
    return Score(mean.item(), math.sqrt((weight.square() * (values - mean).square()).sum().item()))
