"""Noise as a recipe writes it, on digits, and on digits that people have labelled."""

import importlib
import json

import pytest
import torch

from labelnoise import datasets, noise
from labelnoise.experiments import execute, load_data, load_recipe, read_all, study_runs
from labelnoise.training import child_generator

data_module = importlib.import_module("labelnoise.experiments.data")
problem_module = importlib.import_module("labelnoise.experiments.problem")

CONFUSING = [[0.7, 0.3, *[0.0] * 8], *([float(row == column) for column in range(10)] for row in range(1, 10))]


def runs(changes, **noise):
    rules = {"epochs": 2, "seeds": 1, "learning_rate": 0.03, "losses": [{"name": "cce"}], "noises": [noise]}
    recipe = load_recipe("digits", rules | changes)
    return study_runs(recipe, load_data(recipe.datasets[0]), learning_rates={recipe.losses[0].label: 0.03})


def problem(config):
    return problem_module.load_problem(config)


@pytest.fixture
def other_data(monkeypatch):
    """Digits by other names: ``people`` labelled every third zero a one, ``bright`` has other images."""
    digits = datasets.load("digits")
    zeros = (digits.true_labels == 0).nonzero().flatten()
    train = digits.train
    sets = {
        "digits": digits,
        "cifar10n": digits._replace(train=train._replace(labels=train.labels.index_fill(0, zeros[::3], 1))),
        "cifar100": digits._replace(train=train._replace(inputs=train.inputs + 100)),
    }
    monkeypatch.setattr(data_module.datasets, "load", lambda name, **_: sets[name])
    data_module._load_data.cache_clear()
    problem_module._load_problem.cache_clear()
    yield sets
    data_module._load_data.cache_clear()
    problem_module._load_problem.cache_clear()


def test_a_matrix_is_written_as_rows_and_its_rate_follows():
    (config,) = runs({}, name="class_dependent", transition=CONFUSING)
    found = problem(config)
    assert torch.equal(found.transition, torch.tensor(CONFUSING, dtype=torch.float64))
    wrong = found.training.labels != found.true_labels
    assert set(found.true_labels[wrong].tolist()) == {0}
    assert set(found.training.labels[wrong].tolist()) == {1}
    zeros = (datasets.load("digits").true_labels == 0).double().mean().item()
    assert config.rate == round(0.3 * zeros, 4)


def test_a_map_has_text_for_classes_as_the_keys_of_a_file_are():
    (config,) = runs({}, name="map_flip", rates=[0.5], mapping={"0": 1, "7": 9})
    assert json.loads(config.model_dump_json())["noise"]["mapping"] == {"0": 1, "7": 9}
    draw = child_generator(0, "noise")
    digits = datasets.load("digits").train
    expected = noise.map_flip(digits.labels, mapping={0: 1, 7: 9}, rate=0.5, num_classes=10, generator=draw).labels
    found = problem(config)
    for part in (found.training, found.validation):
        assert torch.equal(
            part.labels,
            expected[torch.isin(digits.index, part.index).nonzero().flatten()][part.index.argsort().argsort()],
        )


def test_human_labels_are_those_of_the_data_set(other_data):
    (config,) = runs({"datasets.0.name": "cifar10n"}, name="human")
    given, true = other_data["cifar10n"].train.labels, other_data["cifar10n"].true_labels
    assert config.rate == round((given != true).double().mean().item(), 4) > 0.02
    found = problem(config)
    assert 0 < (found.training.labels != found.true_labels).sum() < (given != true).sum()  # the rest is in validation
    share = (given[true == 0] == 1).double().mean().item()
    assert found.transition[0, :2].tolist() == pytest.approx([1 - share, share])
    assert torch.equal(found.transition[1:], torch.eye(10, dtype=torch.float64)[1:])


def test_noise_on_human_labels_is_of_both(other_data):
    (config,) = runs({"datasets.0.name": "cifar10n"}, name="pair_flip", rates=[0.5])
    share = (other_data["cifar10n"].train.labels[other_data["digits"].true_labels == 0] == 1).double().mean().item()
    row = problem(config).transition[0]
    assert row[:3].tolist() == pytest.approx([0.5 * (1 - share), 0.5, 0.5 * share])
    assert row[3:].abs().max() == 0
    (config,) = runs({"datasets.0.name": "cifar10n"}, name="class_dependent", transition=CONFUSING)
    zeros = (other_data["digits"].true_labels == 0).double().mean().item()
    assert config.rate == pytest.approx(zeros * (1 - 0.7 * (1 - share)), abs=1e-4)


def test_foreign_images_among_human_labels_leave_the_other_truths_as_they_are(other_data):
    (config,) = runs({"datasets.0.name": "cifar10n"}, name="open_set", rates=[0.4], dataset="cifar100")
    found = problem(config)
    own = found.true_labels != -1
    assert torch.equal(
        found.true_labels[own],
        other_data["digits"].true_labels[torch.searchsorted(other_data["digits"].train.index, found.training.index)][
            own
        ],
    )
    assert (found.training.labels[own] != found.true_labels[own]).any()


def test_an_open_set_run_is_bound_to_the_other_images_too(other_data, tmp_path):
    (config,) = runs({}, name="open_set", rates=[0.4], dataset="cifar100")
    assert config.noise.settings["checksum"] == other_data["cifar100"].checksum
    found = problem(config)
    foreign = found.training.inputs.amin((1, 2, 3)) >= 90
    assert torch.equal(foreign, found.true_labels == -1)
    assert foreign.double().mean() == pytest.approx(0.4, abs=0.05)
    execute(config, tmp_path / "runs")
    (run,) = read_all([config], tmp_path)
    assert torch.equal(run.samples().wrong, foreign)

    other_data["cifar100"] = other_data["cifar100"]._replace(test=other_data["digits"].train)
    data_module._load_data.cache_clear()
    problem_module._load_problem.cache_clear()
    with pytest.raises(ValueError, match="dataset cifar100 is not the one the run was made for"):
        problem(config)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "human"}, "noise human is of labels that people gave, digits has the true ones alone"),
        ({"name": "human", "rates": [0.1]}, "noise model human takes no rates: they follow from the rest"),
        ({"name": "symmetric"}, "noise model symmetric needs a setting 'rates'"),
        ({"name": "symmetric", "rates": [0.1], "rate": 0.3}, "unknown setting of symmetric 'rate'"),
        ({"name": "class_dependent"}, "noise model class_dependent needs a setting 'transition'"),
        ({"name": "class_dependent", "transition": [[0.9, 0.2], [0.0, 1.0]]}, "rows that sum to 1, got .* 1.1"),
        ({"name": "class_dependent", "transition": [[0.9, 0.1], [0.0]]}, "a setting of noise class_dependent is malf"),
        ({"name": "class_dependent", "transition": [[1.0, 0.0], [0.0, 1.0]]}, "is of 2 classes, the data have 10"),
        ({"name": "map_flip", "rates": [0.1], "mapping": {"0": 10}}, r"mapping must lead from one class in \[0, 10\)"),
        ({"name": "map_flip", "rates": [0.1], "mapping": {"cat": 1}}, "setting mapping of map_flip: .*valid integer"),
        ({"name": "open_set", "rates": [0.1]}, "noise model open_set needs a setting 'dataset'"),
    ],
)
def test_what_is_no_noise_for_the_data_is_named_before_anything_runs(settings, message):
    with pytest.raises(ValueError, match=message):
        runs({}, **settings)


def test_images_that_do_not_go_with_the_others_are_named_before_anything_runs(other_data):
    large = other_data["cifar100"].train._replace(inputs=torch.zeros(7, 1, 9, 9))
    other_data["cifar100"] = other_data["cifar100"]._replace(train=large)
    with pytest.raises(ValueError, match=r"other_inputs must be torch.float32 of shape \(n, ...\) with \(1, 8, 8\)"):
        runs({}, name="open_set", rates=[0.4], dataset="cifar100")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_samples": 5000}, "train_samples must be at most 1437, all of digits, got 5000"),
        ({"features": {"name": "tfidf"}}, "digits holds no texts, and wants no features"),
    ],
)
def test_data_that_the_rest_does_not_fit_are_named_before_anything_runs(changes, message):
    with pytest.raises(ValueError, match=message):
        runs(changes, name="symmetric", rates=[0.4])


def test_a_learning_rate_is_chosen_at_the_noise_that_has_no_rate_of_its_own():
    rule = {"candidates": [0.1], "chosen_by": "cce", "seeds": 1}
    noises = [{"name": "class_dependent", "transition": CONFUSING}]
    assert load_recipe("digits", {"noises": noises, "learning_rate": rule}).learning_rate.at_rate is None
    with pytest.raises(ValueError, match="learning_rate takes no at_rate, as the first noise model is class_dependent"):
        load_recipe("digits", {"noises": noises, "learning_rate": rule | {"at_rate": 0.4}})
