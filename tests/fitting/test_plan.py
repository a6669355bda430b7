import pytest
import torch
from noisy_data import features

from labelnoise.fitting import CANDIDATES, Request, default_recipe, make_plan, parse_budget, plan, prepare
from labelnoise.runs import Part


@pytest.fixture
def prepared(tmp_path):
    return prepare(Request(features(tmp_path).path))


@pytest.fixture
def planned(prepared, monkeypatch):
    """A plan where an epoch takes a second."""
    monkeypatch.setattr(plan, "_seconds_per_epoch", lambda *_: 1.0)
    monkeypatch.setattr(plan, "default_epochs", lambda *_: 20)
    monkeypatch.setattr(plan, "_START", 0.0)
    recipe = default_recipe("features", "auto", samples=128, device="cpu")

    def make(budget, **settings):
        defaults = {"epochs": None, "refine": None, "folds": 0, "workers": 1}
        made = make_plan(
            prepared, recipe, CANDIDATES, budget=budget and float(budget), device="cpu", **(defaults | settings)
        )
        return len(made.candidates), made.epochs, made.refine, made.seconds

    return make


def test_without_a_budget_all_is_done(planned):
    assert planned(None) == (4, 20, True, 100)
    assert planned(1000) == (4, 20, True, 100)


def test_a_small_budget_takes_epochs_and_candidates_then_the_refinement_and_then_both_again(planned):
    assert planned(100) == (4, 16, True, 80)  # of a budget, a fifth is kept in reserve
    assert planned(93) == (3, 18, True, 72)  # of four, 14
    assert planned(74) == (2, 19, True, 57)
    assert planned(50) == (2, 20, False, 40)
    assert planned(30) == (2, 12, False, 24)
    assert planned(20) == (2, 8, False, 16)
    assert planned(15) == (1, 12, False, 12)
    assert planned(5) == (1, 4, False, 4)
    assert planned(0.1) == (1, 1, False, 1)


def test_nothing_is_pruned_in_one_epoch(planned, prepared):
    assert planned(None, epochs=1)[:2] == (len(CANDIDATES) - 1, 1)
    assert planned(None, epochs=2)[:2] == (len(CANDIDATES), 2)
    recipe, pruned = default_recipe("features", "auto", samples=128, device="cpu"), [Part(name="pruned_gce")]
    settings = {"budget": None, "refine": None, "folds": 0, "workers": 1, "device": "cpu"}
    with pytest.raises(ValueError, match="pruned_gce must train for at least 2 epochs, got 1"):
        make_plan(prepared, recipe, pruned, epochs=1, **settings)


def test_the_start_of_workers_counts(planned, monkeypatch):
    monkeypatch.setattr(plan, "_START", 5.0)
    assert planned(None) == (4, 20, True, 100 + 2 * 5)
    assert planned(None, folds=5) == (4, 20, True, 200 + 3 * 5)
    assert planned(15) == (1, 7, False, 12)
    assert planned(1) == (1, 1, False, 6)


def test_the_candidates_that_stay_are_the_first(prepared):
    recipe = default_recipe("features", "auto", samples=128, device="cpu")
    made = make_plan(
        prepared, recipe, CANDIDATES, budget=1e-9, epochs=None, refine=None, folds=0, workers=1, device="cpu"
    )
    assert made.candidates == CANDIDATES[:1]
    assert made.seconds > 0


def test_what_was_asked_for_stays(planned):
    assert planned(50, epochs=20) == (2, 20, False, 40)
    assert planned(5, refine=True) == (1, 2, True, 4)
    assert planned(None, refine=False) == (4, 20, False, 80)
    assert planned(1, epochs=20)[:2] == (1, 20)


def test_workers_share_the_candidates_and_the_folds(planned):
    assert planned(None, workers=2) == (4, 20, True, 20 * (2 + 1))
    assert planned(None, workers=2, folds=5) == (4, 20, True, 20 * (2 + 1 + 3))


def test_the_timing_leaves_the_random_numbers_of_the_caller_alone(prepared):
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    recipe = default_recipe("features", "auto", samples=128, device="cpu")
    make_plan(prepared, recipe, CANDIDATES, budget=60.0, epochs=2, refine=None, folds=0, workers=1, device="cpu")
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("text", ["", "10", "m", "0s", "-1m", "10 m", "1d", "inf", "1e3s", "10m\n"])
def test_a_budget_is_a_time(text):
    with pytest.raises(ValueError, match="budget must be a time such as"):
        parse_budget(text)


def test_budgets_are_seconds():
    assert [parse_budget(text) for text in ("90s", "10m", "1.5h", "none")] == [90, 600, 5400, None]


def test_an_epoch_is_its_steps_and_a_third_of_that_for_the_samples_that_are_only_predicted(prepared, monkeypatch):
    monkeypatch.setattr(plan, "_seconds_per_step", lambda *_: 2.0)
    recipe = default_recipe("features", "auto", samples=128, device="cpu").model_copy(update={"batch_size": 16})
    assert plan._seconds_per_epoch(prepared, recipe, "cpu") == pytest.approx(2.0 / 16 * (128 + 32 / 3))
