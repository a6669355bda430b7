import math

import pytest
import torch

from labelnoise.fitting.choice import choose, is_better, score


def recall(predicted, labels, label):
    members = [row for row in range(len(labels)) if labels[row] == label]
    return sum(predicted[row] == label for row in members) / len(members)


def test_a_balanced_score_is_the_mean_recall_and_a_plain_one_the_share_of_hits():
    predicted = torch.tensor([0] * 6 + [1] * 2 + [0, 2])
    labels = torch.tensor([0] * 7 + [1] + [2] * 2)
    assert score(predicted, labels, balanced=False).accuracy == pytest.approx(8 / 10)
    mean_recall = sum(recall(predicted.tolist(), labels.tolist(), label) for label in range(3)) / 3
    assert score(predicted, labels, balanced=True).accuracy == pytest.approx(mean_recall)


def test_a_class_without_validation_samples_counts_for_nothing():
    labels = torch.tensor([0, 0, 2, 2])
    assert score(torch.tensor([0, 0, 1, 1]), labels, balanced=True).accuracy == pytest.approx(0.5)


def test_the_standard_error_is_the_spread_over_many_draws():
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([0] * 300 + [1] * 100)
    right = torch.where(labels == 0, 0.9, 0.6)
    for balanced in (False, True):
        draws = []
        for _ in range(400):
            hits = torch.rand(len(labels), generator=generator) < right
            draws.append(score(torch.where(hits, labels, 1 - labels), labels, balanced=balanced))
        spread = torch.tensor([draw.accuracy for draw in draws]).std().item()
        stated = sum(draw.standard_error for draw in draws) / len(draws)
        # The strata are fixed here, and a plain standard error does not know of them: it may only be too wide.
        assert spread < stated * 1.1
        assert stated < spread * 1.3


def hits(*wrong, n=100):
    """A prediction of zeros that is wrong in these rows."""
    return torch.zeros(n, dtype=torch.int64).index_fill_(0, torch.tensor(wrong, dtype=torch.int64), 1)


@pytest.mark.parametrize(
    ("predictions", "expected"),
    [
        ([hits(*range(9)), hits(1), hits(1)], (1, 1)),  # of equals the first
        ([hits(1, 2, 3), hits(4, 5)], (0, 1)),  # 1 % better, with an error of 2.2 %
        ([hits(1, 2, 3), hits(1, 2)], (1, 1)),  # 1 % with an error of 1.0 %: the same rows but one
        ([hits(*range(9)), hits(1, 2, 3), hits(4, 5)], (1, 2)),  # the first is worse than that
    ],
)
def test_the_first_that_is_not_worse_by_more_than_the_standard_error_is_chosen(predictions, expected):
    assert choose(predictions, hits(), balanced=False) == expected


def test_a_model_is_better_only_beyond_the_standard_error_of_the_paired_difference():
    labels = torch.zeros(100, dtype=torch.int64)
    holder = labels.clone()
    holder[:10] = 1
    one_more = holder.clone()
    one_more[0] = 0  # a gain of one in a hundred, and no loss: its error is as large
    better, gain = is_better(one_more, holder, labels, balanced=False)
    assert gain.accuracy == pytest.approx(0.01)
    assert gain.standard_error == pytest.approx(math.sqrt(0.01 * 0.99 / 100))
    assert better
    swapped = one_more.clone()
    swapped[99] = 1  # one gained, one lost
    assert not is_better(swapped, holder, labels, balanced=False)[0]
    assert not is_better(holder, holder, labels, balanced=False)[0]
    assert not is_better(holder, labels, labels, balanced=True)[0]
