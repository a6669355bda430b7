import pytest
import torch
from noisy_data import features, trained

from labelnoise.fitting import CANDIDATES, Plan, Request, Work, default_recipe, engine, fit_candidates, prepare


@pytest.fixture
def data(tmp_path):
    return features(tmp_path)


@pytest.fixture
def fitted(data, tmp_path, monkeypatch):
    """The engine, with trainings that only say how many validation samples they get right, or what went wrong."""
    prepared = prepare(Request(data.path))
    labels = prepared.validation.labels
    sure = torch.full((len(prepared.training.labels), 2), 0.05)
    sure[torch.arange(len(sure)), prepared.training.index % 2] = 0.95

    def fit(right, *, refine=False, folds=0, trajectory=sure):
        trainings = []

        def result(job):
            outcome = right.get(job.name, 16)
            if isinstance(outcome, str):
                return outcome
            predicted = torch.where(torch.arange(len(labels)) < outcome, labels, 1 - labels)
            held = None if job.held is None else (len(job.held), 0.5)
            run = trained(prepared, held=held)
            return run._replace(validation=torch.eye(2)[predicted], trajectory=trajectory)

        def train_all(work, jobs, *, workers, on_progress):
            trainings.extend(jobs)
            on_progress(len(jobs) * work.epochs)
            return {job.name: result(job) for job in jobs}

        monkeypatch.setattr(engine, "train_all", train_all)
        recipe = default_recipe("features", "auto", samples=128, device="cpu")
        plan = Plan(candidates=CANDIDATES, recipe=recipe, epochs=10, refine=refine, seconds=0.0)
        work = Work(Request(data.path), recipe, 10, False, "cpu", tmp_path)
        told = []
        found = fit_candidates(prepared, work, plan, folds=folds, on_progress=told.append)
        return found, trainings, told

    return fit


def test_the_best_candidate_on_noisy_validation_is_kept(fitted):
    found, trainings, told = fitted({"candidate-2": 30, "candidate-3": 31, "candidate-4": 31})
    assert found.names == ["gce q=0.7", "gce q=0.4", "cce", "pruned_gce"]
    assert found.chosen == 2
    assert found.reasons == ["cce has the highest accuracy on the noisy validation labels."]
    assert [score.accuracy for score in found.scores] == [16 / 32, 30 / 32, 31 / 32, 31 / 32]
    assert len(trainings) == 4
    assert told == [40]


def test_a_candidate_whose_loss_became_nan_is_told_and_left_out(fitted):
    found, _, _ = fitted({"candidate-1": "the loss became nan", "candidate-4": 20})
    assert found.names == ["gce q=0.4", "cce", "pruned_gce"]
    assert found.names[found.chosen] == "pruned_gce"
    assert found.reasons[0] == "gce q=0.7 failed: the loss became nan."
    with pytest.raises(ValueError, match=r"no candidate could be trained: gce q=0\.7 failed: nan"):
        fitted({f"candidate-{number}": "nan" for number in range(1, 5)})


def test_the_refined_model_is_kept_where_it_is_better_beyond_the_standard_error(fitted, data):
    found, trainings, told = fitted({"candidate-1": 20, "refined": 28}, refine=True)
    assert found.names[found.chosen] == "gce q=0.7, refined"
    assert found.reasons[-1].endswith("gce q=0.7, refined is kept.")
    assert "+25.0 ± 7.7 points" in found.reasons[-1]
    assert torch.equal(trainings[-1].leave_out, torch.from_numpy(found.audit.is_issue))
    assert trainings[-1].loss == CANDIDATES[0]
    assert told == [40, 50]


@pytest.mark.parametrize("right", [10, 20])
def test_a_refined_model_that_is_no_better_is_shown_and_not_kept(fitted, right):
    found, _, _ = fitted({"candidate-1": 20, "refined": right}, refine=True)
    assert found.names[found.chosen] == "gce q=0.7"
    assert found.names[-1] == "gce q=0.7, refined"
    assert found.scores[-1].accuracy == right / 32
    assert "not more than the standard error, gce q=0.7 stays." in found.reasons[-1]


def test_a_refinement_that_fails_leaves_the_model_there_was(fitted):
    found, _, _ = fitted({"candidate-1": 20, "refined": "the loss became inf"}, refine=True)
    assert found.chosen == 0
    assert found.reasons[-1] == "Training again without the flagged rows failed: the loss became inf."


def test_where_nothing_or_everything_is_flagged_nothing_is_trained_again(fitted, monkeypatch):
    audit_run = engine.audit_run
    for p_wrong, reason in (
        (0.0, "No row it was trained on is flagged"),
        (1.0, "Every label is flagged, which says more of the model"),
    ):

        def audit(*arguments, p_wrong=p_wrong, **settings):
            found = audit_run(*arguments, **settings)
            return found._replace(p_wrong=0 * found.p_wrong + p_wrong)

        monkeypatch.setattr(engine, "audit_run", audit)
        found, trainings, _ = fitted({"candidate-1": 20}, refine=True)
        assert len(trainings) == 4
        assert found.reasons[-1].startswith(reason)


def test_folds_are_of_the_chosen_loss_and_audit_in_the_place_of_its_run(fitted, data):
    flat = torch.full((128, 2), 0.5)
    _, trainings, told = fitted({"candidate-2": 20}, folds=3, trajectory=flat)
    assert [job.name for job in trainings[4:]] == ["fold-1", "fold-2", "fold-3"]
    assert {job.loss for job in trainings[4:]} == {CANDIDATES[1]}
    assert told == [40, 70]
    with pytest.raises(ValueError, match="a fold could not be trained: nan"):
        fitted({"fold-2": "nan"}, folds=3)


def test_the_audit_finds_the_wrong_labels(fitted, data):
    found, _, _ = fitted({})
    rows = prepare(Request(data.path)).training.index.numpy()
    assert (found.audit.is_issue[rows] == data.wrong[rows]).all()
