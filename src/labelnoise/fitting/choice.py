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


class Choice(NamedTuple):
    """Positions among the candidates."""

    chosen: int
    highest: int
    """Of the highest accuracy, of equal ones the first."""


def choose(predictions: Sequence[Int64[Tensor, "n"]], labels: Int64[Tensor, "n"], *, balanced: bool) -> Choice:
    """The first candidate than which the one of the highest accuracy is not :func:`is_better`.

    The one-standard-error rule (Breiman et al. 1984, Classification and Regression Trees, section 3.4.3): where
    validation cannot tell, the candidate that stands first stays, and not the one with the luckiest few labels.

    >>> labels = torch.tensor([0, 1] * 50)
    >>> nearly = torch.cat([1 - labels[:1], labels[1:]])  # wrong once in a hundred: 1 % with an error of 1 %
    >>> choose([1 - labels, nearly, labels], labels, balanced=False)
    Choice(chosen=2, highest=2)
    """
    accuracies = [score(predicted, labels, balanced=balanced).accuracy for predicted in predictions]
    highest = accuracies.index(max(accuracies))
    chosen = next(
        position
        for position, predicted in enumerate(predictions)
        if not is_better(predictions[highest], predicted, labels, balanced=balanced)[0]
    )
    return Choice(chosen, highest)


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
