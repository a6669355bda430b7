import math

import pytest
import torch

from labelnoise.metrics import detection_scores


def test_scores_against_counting_pairs():
    generator = torch.Generator().manual_seed(0)
    wrong = torch.rand(200, generator=generator) < 0.3
    suspicion = torch.randn(200, generator=generator) + wrong
    flagged = suspicion > 0.5
    scores = detection_scores(suspicion, flagged, wrong)
    pairs = suspicion[wrong][:, None] - suspicion[~wrong][None]
    assert scores.auroc == pytest.approx((pairs > 0).double().mean().item())  # no ties among random floats
    assert scores.precision == wrong[flagged].double().mean().item()
    assert scores.recall == flagged[wrong].double().mean().item()


def test_arrays_of_an_audit_and_half_precision_are_scored_alike():
    wrong, flagged = torch.tensor([True, False, True, False]), torch.tensor([True, True, False, False])
    suspicion = torch.tensor([0.9, 0.8, 0.4, 0.1])
    scores = detection_scores(suspicion, flagged, wrong)
    assert detection_scores(suspicion.double().numpy(), flagged.numpy(), wrong.numpy()) == scores
    assert detection_scores(suspicion.bfloat16().requires_grad_(), flagged, wrong) == scores


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("shapes", [(4, 4, (4, 1)), (4, 1, 4), (3, 4, 4), ((4, 1), (4, 1), (4, 1))])
def test_shapes_that_would_be_broadcast_are_refused(shapes):
    suspicion, flagged, wrong = (torch.zeros(shape) for shape in shapes)
    with pytest.raises(ValueError, match=r"must all have shape \(n,\), got"):
        detection_scores(suspicion, flagged.bool(), wrong.bool())


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("name", ["is_issue", "wrong"])
def test_what_is_no_truth_value_is_refused(name):
    given = {"is_issue": torch.zeros(2).bool(), "wrong": torch.zeros(2).bool(), name: torch.tensor([0, 2])}
    with pytest.raises(ValueError, match=f"{name} must be truth values, got torch.int64"):
        detection_scores(torch.zeros(2), **given)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("all_wrong", [False, True])
def test_a_suspicion_that_is_no_number_is_refused_whatever_the_truth(all_wrong, value):
    with pytest.raises(ValueError, match=f"suspicion must be finite, got {value}"):
        detection_scores(torch.tensor([0.0, value]), torch.zeros(2).bool(), torch.full((2,), all_wrong))


@pytest.mark.parametrize("all_wrong", [False, True])
def test_one_sided_truth_has_no_ranking(all_wrong):
    wrong = torch.full((4,), all_wrong)
    scores = detection_scores(torch.arange(4.0), torch.zeros(4, dtype=torch.bool), wrong)
    assert math.isnan(scores.auroc)
    assert math.isnan(scores.precision)
    assert scores.recall == 0 if all_wrong else math.isnan(scores.recall)
