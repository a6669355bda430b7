import hashlib
import importlib

import pytest
import torch

from labelnoise import datasets
from labelnoise.experiments import choose_learning_rate, execute, load_recipe, read_all, study_runs, tuning_runs
from labelnoise.runs import Run

run_module = importlib.import_module("labelnoise.experiments.run")


@pytest.fixture
def recipe():
    return load_recipe("digits").model_copy(update={"epochs": 2, "rates": [0.4]})


def checksum(*tensors):
    return hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in tensors)).hexdigest()


def what_it_sees(config, root, monkeypatch):
    """Checksums of noisy labels, split, initial weights and batch order of one run."""
    seen = {}
    train = run_module.train

    def spy(model, objective, training, validation, test, **settings):
        seen["labels"] = checksum(training.labels, validation.labels)
        seen["split"] = checksum(training.index, validation.index)
        seen["weights"] = checksum(*(parameter.detach() for parameter in model.parameters()))
        order = []
        forward = type(objective).forward
        monkeypatch.setattr(
            type(objective), "forward", lambda self, z, y, index: order.append(index) or forward(self, z, y, index)
        )
        result = train(model, objective, training, validation, test, **settings)
        monkeypatch.undo()
        seen["order"] = checksum(*order)
        return result

    monkeypatch.setattr(run_module, "train", spy)
    execute(config, root)
    monkeypatch.undo()
    return seen


def test_losses_and_learning_rates_see_the_same_data_in_the_same_order_from_the_same_start(
    recipe, tmp_path, monkeypatch
):
    configs = [*study_runs(recipe, 0.01, [0]), *study_runs(recipe, 0.1, [0])[:1]]
    first, *others = [what_it_sees(config, tmp_path, monkeypatch) for config in configs]
    assert len(others) == 4
    assert all(other == first for other in others)
    other_seed = what_it_sees(study_runs(recipe, 0.01, [1])[0], tmp_path, monkeypatch)
    assert all(other_seed[name] != first[name] for name in first)


def test_a_poisoned_test_set_changes_no_choice(recipe, tmp_path, monkeypatch):
    digits = datasets.load("digits")
    wrong = digits._replace(test=digits.test._replace(labels=(digits.test.labels + 1) % 10))
    chosen = []
    for name, data in {"right": digits, "poisoned": wrong}.items():
        monkeypatch.setitem(datasets.REGISTRY, "digits", lambda data=data: data)
        configs = tuning_runs(recipe, [0])
        for config in configs:
            execute(config, tmp_path / name)
        runs = read_all(configs, tmp_path / name)
        weights = [(tmp_path / name / c.run_id / "weights.safetensors").read_bytes() for c in configs]
        chosen.append((choose_learning_rate(runs), [run.metrics["best_epoch"] for run in runs], weights))
    assert chosen[0] == chosen[1]


def test_a_finished_run_is_not_touched(recipe, tmp_path, monkeypatch):
    config = study_runs(recipe, 0.01, [0])[0]
    execute(config, tmp_path)
    monkeypatch.setattr(run_module, "train", None)
    execute(config, tmp_path)


def test_other_data_than_the_config_names_are_refused(recipe, tmp_path):
    config = study_runs(recipe, 0.01, [0])[0].model_copy(update={"dataset_checksum": "0" * 64})
    with pytest.raises(ValueError, match=r"dataset digits has checksum .*, the run wants 000"):
        execute(config, tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_truth_in_a_run_is_the_noise_that_was_drawn(recipe, tmp_path):
    config = study_runs(recipe, 0.01, [3])[0]
    execute(config, tmp_path)
    (run,) = read_all([config], tmp_path)
    record = run.samples.record
    true = torch.full((1797,), -1)
    data = datasets.load("digits").train
    true[data.index] = data.labels
    assert torch.equal(run.samples.wrong, record.labels != true[record.index])
    # 1,150 draws at 40 %: five standard deviations are 7 %.
    assert run.samples.wrong.float().mean().item() == pytest.approx(0.4, abs=0.07)


def test_the_learning_rate_is_that_of_the_highest_mean_and_the_smallest_of_a_tie(recipe):
    def run(rate, accuracy):
        config = tuning_runs(recipe, [0])[0].model_copy(update={"learning_rate": rate})
        return Run(config, {}, {"validation_accuracy_best": accuracy}, 0.0, [], None)

    assert choose_learning_rate([run(0.1, 0.6), run(0.3, 0.9), run(0.1, 0.8), run(0.3, 0.4)]) == 0.1
    assert choose_learning_rate([run(0.3, 0.5), run(0.1, 0.5)]) == 0.1
