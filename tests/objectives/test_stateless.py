"""A loss without memory is itself as an objective."""

import pytest
import torch
from torch import nn

from labelnoise.losses import GCELoss
from labelnoise.objectives import Stateless

LOGITS = torch.tensor([[2.0, 0.0, 1.0], [0.0, 3.0, -1.0]])
LABELS = torch.tensor([0, 2])
WEIGHT = torch.tensor([1.0, 2.0, 0.5])


@pytest.mark.parametrize("loss", [GCELoss(q=0.5, weight=WEIGHT), nn.CrossEntropyLoss(weight=WEIGHT)])
@pytest.mark.parametrize("training", [True, False])
def test_gives_the_loss_whatever_the_index(loss, training):
    objective = Stateless(loss).train(training)
    for index in ([0, 1], [5, 3], [0, 0]):
        assert torch.equal(objective(LOGITS, LABELS, torch.tensor(index)), loss(LOGITS, LABELS))


def test_end_of_an_epoch_costs_no_prediction_and_changes_nothing():
    objective = Stateless(GCELoss(weight=WEIGHT))
    objective.end_epoch(1, lambda: pytest.fail("a pass over the training set for nothing"))
    assert list(objective.state_dict()) == ["loss.weight"]
    assert torch.equal(objective.loss.weight, WEIGHT)


@pytest.mark.parametrize("loss", [GCELoss(reduction="none"), nn.CrossEntropyLoss(reduction="none")])
def test_a_loss_of_one_value_a_sample_is_refused(loss):
    with pytest.raises(ValueError, match=r"one number a batch, its reduction mean or sum, got \(2,\)"):
        Stateless(loss)(LOGITS, LABELS, torch.arange(2))


@pytest.mark.usefixtures("without_shape_checks")
def test_an_index_that_is_no_tensor_is_refused():
    with pytest.raises(ValueError, match="index must be"):
        Stateless(GCELoss())(LOGITS, LABELS, [0, 1])


@pytest.mark.parametrize("index", [torch.tensor(0), torch.tensor([0]), torch.tensor([[0], [1]])])
def test_an_index_that_does_not_fit_is_refused(index):
    with pytest.raises(ValueError, match=r"index must have the labels' shape \(2,\), got "):
        Stateless(GCELoss())(LOGITS, LABELS, index)
