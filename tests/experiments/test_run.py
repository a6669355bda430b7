import hashlib
import importlib

import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import roc_auc_score
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingLR

from labelnoise import datasets
from labelnoise.experiments import (
    choose_learning_rate,
    chooser,
    execute,
    load_data,
    load_recipe,
    read_all,
    study_runs,
    tuning_runs,
)
from labelnoise.experiments.parts import build_model
from labelnoise.runs import Part, Run

run_module = importlib.import_module("labelnoise.experiments.run")
stack_module = importlib.import_module("labelnoise.experiments.stack")
data_module = importlib.import_module("labelnoise.experiments.data")
noises_module = importlib.import_module("labelnoise.experiments.noises")
problem_module = importlib.import_module("labelnoise.experiments.problem")


@pytest.fixture
def recipe():
    return load_recipe("digits", {"epochs": 2, "noises.0.rates": [0.4], "losses.3.warmup": 1, "losses.3.k": 0.01})


def configs(recipe, learning_rate=0.01):
    """The runs of the recipe, seed by seed."""
    rates = {loss.label: learning_rate for loss in recipe.losses}
    runs = study_runs(recipe, load_data(recipe.datasets[0]), learning_rates=rates)
    return [[run for run in runs if run.seed == seed] for seed in range(recipe.seeds)]


def run_of(config, root):
    execute(config, root / "runs")
    (run,) = read_all([config], root)
    return run


def checksum(*tensors):
    return hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in tensors)).hexdigest()


def what_it_sees(config, root, monkeypatch):
    """Checksums of noisy labels, split, initial weights and batch order of one run."""
    seen = {}

    def look(model, training, validation):
        seen["labels"] = checksum(training.labels, validation.labels)
        seen["split"] = checksum(training.index, validation.index)
        seen["weights"] = checksum(*(parameter.detach() for parameter in model.parameters()))

    train, train_stack = run_module.train, stack_module.train_stack

    def spy(model, objective, training, validation, test, **settings):
        look(model, training, validation)
        order = []
        forward = type(objective).forward
        monkeypatch.setattr(
            type(objective), "forward", lambda self, z, y, index: order.append(index) or forward(self, z, y, index)
        )
        result = train(model, objective, training, validation, test, **settings)
        monkeypatch.undo()
        seen["order"] = checksum(*order)
        return result

    def spy_on_stack(members, **settings):
        (own,) = members
        look(own.model, own.train, own.validation)
        seen["order"] = checksum(own.generator.get_state())
        return train_stack(members, **settings)

    monkeypatch.setattr(run_module, "train", spy)
    monkeypatch.setattr(stack_module, "train_stack", spy_on_stack)
    execute(config, root)
    monkeypatch.undo()
    assert seen.keys() == {"labels", "split", "weights", "order"}
    return seen


@pytest.mark.parametrize("augment", [None, Part(name="crop", padding=1)], ids=["stacked", "by itself"])
def test_losses_and_learning_rates_see_the_same_data_in_the_same_order_from_the_same_start(
    augment, recipe, tmp_path, monkeypatch
):
    recipe = recipe.model_copy(update={"augment": augment})
    runs = [*configs(recipe)[0], configs(recipe, 0.1)[0][0]]
    assert all(run.stacked == (augment is None) for run in runs)
    first, *others = [what_it_sees(config, tmp_path, monkeypatch) for config in runs]
    assert len(others) == 4
    assert all(other == first for other in others)
    other_seed = what_it_sees(configs(recipe)[1][0], tmp_path, monkeypatch)
    assert all(other_seed[name] != first[name] for name in first)


def test_a_poisoned_test_set_changes_no_choice(recipe, tmp_path, monkeypatch):
    digits = datasets.load("digits")
    wrong = digits._replace(test=digits.test._replace(labels=(digits.test.labels + 1) % 10))
    chosen = []
    for name, data in {"right": digits, "poisoned": wrong}.items():
        monkeypatch.setattr(data_module.datasets, "load", lambda *_, data=data, **__: data)
        data_module._load_data.cache_clear()
        tuning = tuning_runs(recipe, load_data(recipe.datasets[0]), loss=chooser(recipe))
        for config in tuning:
            execute(config, tmp_path / name / "runs")
        runs = read_all(tuning, tmp_path / name)
        weights = [(tmp_path / name / "runs" / c.run_id / "weights.safetensors").read_bytes() for c in tuning]
        chosen.append((choose_learning_rate(runs), [run.metrics["best_epoch"] for run in runs], weights))
    data_module._load_data.cache_clear()
    assert chosen[0] == chosen[1]


def test_a_finished_run_is_not_touched(recipe, tmp_path, monkeypatch):
    config = configs(recipe)[0][0]
    execute(config, tmp_path)
    monkeypatch.setattr(run_module, "execute_stack", None)
    execute(config, tmp_path)


def test_other_data_than_the_config_names_are_refused(recipe, tmp_path):
    config = configs(recipe)[0][0].model_copy(update={"dataset_checksum": "0" * 64})
    with pytest.raises(ValueError, match=r"dataset digits has checksum .*, the run wants 000"):
        execute(config, tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_truth_in_a_run_is_the_noise_that_was_drawn(recipe, tmp_path):
    config = configs(recipe)[3][0]
    run = run_of(config, tmp_path)
    samples = run.samples()
    record = samples.record
    true = torch.full((1797,), -1)
    data = datasets.load("digits").train
    true[data.index] = data.labels
    assert torch.equal(samples.wrong, record.labels != true[record.index])
    # 1,150 draws at 40 %: five standard deviations are 7 %.
    assert samples.wrong.float().mean().item() == pytest.approx(0.4, abs=0.07)


def test_the_learning_rate_is_chosen_at_the_rate_that_the_recipe_names():
    recipe = load_recipe("digits")
    runs = tuning_runs(recipe, load_data(recipe.datasets[0]), loss=chooser(recipe))
    assert {run.rate for run in runs} == {0.4}


def test_the_learning_rate_is_chosen_by_the_recipes_own_loss_on_no_more_seeds_than_it_has():
    changes = {"seeds": 2, "learning_rate.seeds": 5, "learning_rate.chosen_by": "gce", "losses.2.q": 0.3}
    recipe = load_recipe("digits", changes)
    runs = tuning_runs(recipe, load_data(recipe.datasets[0]), loss=chooser(recipe))
    assert {run.seed for run in runs} == {0, 1}
    assert {run.loss.settings["q"] for run in runs} == {0.3}


def test_noise_and_split_are_drawn_from_streams_of_their_own(recipe, monkeypatch):
    streams, draw = [], problem_module.child_generator
    for module in (noises_module, problem_module):
        monkeypatch.setattr(module, "child_generator", lambda seed, name: streams.append(name) or draw(seed, name))
    problem_module._load_problem.cache_clear()
    problem_module.load_problem(configs(recipe)[0][0])
    assert streams == ["noise", "split"]


OPTIMIZER = {"learning_rate": 0.03, "momentum": 0.8, "nesterov": True, "weight_decay": 3e-3}
SCHEDULED = {"epochs": 3, "batch_size": 64, "schedule": Part(name="cosine")}


class Reached(Exception):  # noqa: N818 (no error)
    pass


def spied(module, name, changes, recipe, root, monkeypatch):
    """With what the run of a changed config calls ``name``."""
    seen = {}

    def spy(*_, **settings):
        seen.update(settings)
        raise Reached

    monkeypatch.setattr(module, name, spy)
    with pytest.raises(Reached):
        execute(configs(recipe)[0][0].model_copy(update=changes), root)
    return seen


def is_as_said(seen, optimizer, schedule):
    (group,) = optimizer.param_groups
    names = {"initial_lr": OPTIMIZER["learning_rate"]} | {name: OPTIMIZER[name] for name in list(OPTIMIZER)[1:]}
    said = {name: group[name] for name in names} == names and seen["epochs"] == 3 and seen["batch_size"] == 64
    return said and isinstance(optimizer, SGD) and isinstance(schedule, CosineAnnealingLR)


def test_every_setting_of_a_training_reaches_it(recipe, tmp_path, monkeypatch):
    own = {"stacked": False, "augment": Part(name="crop", padding=3), "precision": "bf16-mixed", "compiled": True}
    seen = spied(run_module, "train", OPTIMIZER | SCHEDULED | own, recipe, tmp_path, monkeypatch)
    assert is_as_said(seen, seen["optimizer"], seen["schedule"])
    assert seen["augment"].keywords == {"padding": 3, "flip": False}
    assert seen["fabric"]._precision.precision == "bf16-mixed"
    assert seen["compiled"]


def test_every_setting_of_a_stack_reaches_it(recipe, tmp_path, monkeypatch):
    seen = spied(stack_module, "train_stack", OPTIMIZER | SCHEDULED, recipe, tmp_path, monkeypatch)
    optimizer = seen["optimizer"]([torch.nn.Parameter(torch.zeros(1))])
    assert is_as_said(seen, optimizer, seen["schedule"](optimizer))


@pytest.mark.parametrize("augment", [None, Part(name="crop", padding=1)], ids=["stacked", "by itself"])
def test_metrics_are_those_of_the_epochs_they_are_called_after(augment, recipe, tmp_path):
    recipe = recipe.model_copy(update={"augment": augment, "epochs": 4})
    config = configs(recipe, 0.3)[0][0]
    run = run_of(config, tmp_path)
    best = max(run.history, key=lambda metrics: metrics.validation_accuracy)
    assert len({metrics.test_accuracy for metrics in run.history}) > 1
    assert run.metrics["best_epoch"] == best.epoch
    assert run.metrics["validation_accuracy_best"] == best.validation_accuracy
    assert run.metrics["test_accuracy_best"] == best.test_accuracy
    assert run.metrics["test_accuracy_last"] == run.history[-1].test_accuracy


@pytest.mark.parametrize("augment", [None, Part(name="crop", padding=1)], ids=["stacked", "by itself"])
def test_the_prediction_of_a_sample_is_that_of_the_best_epoch(augment, recipe, tmp_path):
    recipe = recipe.model_copy(update={"augment": augment, "epochs": 12})
    config = configs(recipe, 0.3)[0][0]
    run = run_of(config, tmp_path)
    assert run.metrics["best_epoch"] < 12
    problem = problem_module.load_problem(config)
    model = build_model(config, problem).eval()
    model.load_state_dict(load_file(run.path / "weights.safetensors"))
    assert torch.equal(run.samples().predicted, model(problem.training.inputs).argmax(1))


@pytest.mark.parametrize("augment", [None, Part(name="crop", padding=1)], ids=["stacked", "by itself"])
def test_found_and_pruned_labels_are_judged_by_the_truth(augment, recipe, tmp_path, monkeypatch):
    objectives = []
    for module in (run_module, stack_module):
        finish = module.finish
        monkeypatch.setattr(module, "finish", lambda *a, finish=finish, **k: objectives.append(a[2]) or finish(*a, **k))
    recipe = recipe.model_copy(update={"augment": augment, "epochs": 4})
    config = configs(recipe, 0.1)[0][-1].model_copy(update={"loss": Part(name="pruned_gce", q=0.7, k=0.02, warmup=3)})
    run = run_of(config, tmp_path)
    margin, wrong = run.samples().record.margin.double().mean(0), run.samples().wrong
    flagged, pruned = margin < 0, ~objectives[0].kept
    assert 0 < pruned.sum() < len(wrong)
    for scores, listed in ((run.metrics["detection"], flagged), (run.metrics["pruning"], pruned)):
        assert scores["precision"] == pytest.approx(wrong[listed].double().mean().item())
        assert scores["recall"] == pytest.approx(listed[wrong].double().mean().item())
        assert scores["precision"] != scores["recall"]
    assert run.metrics["detection"]["auroc"] == pytest.approx(roc_auc_score(wrong, -margin), abs=1e-3)


def test_the_learning_rate_is_that_of_the_highest_mean_and_the_smallest_of_a_tie(recipe, tmp_path):
    def run(rate, accuracy):
        config = configs(recipe, rate)[0][0]
        return Run(config, {}, {"validation_accuracy_best": accuracy}, 0.0, [], [], tmp_path)

    assert choose_learning_rate([run(0.1, 0.6), run(0.3, 0.9), run(0.1, 0.8), run(0.3, 0.4)]) == 0.1
    assert choose_learning_rate([run(0.3, 0.5), run(0.1, 0.5)]) == 0.1


@pytest.mark.parametrize("transition", ["true", "estimated"])
def test_forward_correction_gets_the_matrix_it_is_promised(transition, tmp_path, monkeypatch):
    changes = {
        "epochs": 20,
        "seeds": 1,
        "losses": [{"name": "forward", "transition": transition, "label_smoothing": 0.1}],
        "noises": [{"name": "pair_flip", "rates": [0.3]}],  # whose matrix is unlike its transpose
    }
    config = configs(load_recipe("digits", changes), 0.1)[0][-1]
    built = []
    build = run_module.build_objective
    monkeypatch.setattr(run_module, "build_objective", lambda *given: built.append(build(*given)) or built[-1])
    execute(config, tmp_path)
    assert not list(tmp_path.rglob("*.pt"))
    assert [objective.loss.label_smoothing for objective in built] == [0.1]
    matrix = built[0].loss.transition
    assert matrix.sum(1) == pytest.approx(torch.ones(10))
    expected = 0.7 * torch.eye(10) + 0.3 * torch.eye(10).roll(1, dims=1)
    error, turned = ((matrix - either).abs().mean().item() for either in (expected, expected.T))
    assert error < turned
    # The true matrix to rounding; an estimate, from 115 images a class, to .05; the identity would be off by .06.
    assert error < (1e-6 if transition == "true" else 0.05)


def test_a_stratified_choice_of_the_training_data_is_the_same_for_every_seed(recipe):
    recipe = recipe.model_copy(update={"train_samples": 500})
    chosen = []
    for config in (configs(recipe)[0][0], configs(recipe)[1][0]):
        problem = problem_module.load_problem(config)
        chosen.append(torch.cat([problem.training.index, problem.validation.index]).sort().values)
    assert len(chosen[0]) == 500
    assert torch.equal(*chosen)


def test_all_of_the_training_data_may_be_asked_for_by_their_number(recipe):
    every, asked = (
        problem_module.load_problem(configs(recipe.model_copy(update={"train_samples": count}))[0][0])
        for count in (None, 1437)
    )
    assert torch.equal(every.training.index, asked.training.index)


def test_features_of_what_is_no_text_are_refused(recipe, tmp_path):
    config = configs(recipe)[0][0].model_copy(update={"features": Part(name="tfidf")})
    with pytest.raises(ValueError, match="features tfidf are for texts, digits has none"):
        execute(config, tmp_path)


@pytest.mark.parametrize(
    ("changes", "stacked"),
    [
        ({}, True),
        ({"batch_size": 256}, False),  # 256 x (64 x 256 + 256 x 10) products are more than 2^22
        ({"batch_size": 256, "model": {"name": "mlp", "hidden": [128]}}, True),
        ({"model": {"name": "lenet"}}, False),
        ({"augment": {"name": "crop", "padding": 1}}, False),
        ({"precision": "bf16-mixed"}, False),
        ({"compiled": True}, False),
        ({"losses": [{"name": "forward", "transition": "true"}]}, False),
        ({"losses": [{"name": "gce", "ignore_index": 3}]}, False),  # its mean is over fewer
    ],
)
def test_which_runs_are_stacked_is_a_rule_on_their_settings(changes, stacked):
    assert {run.stacked for runs in configs(load_recipe("digits", changes)) for run in runs} == {stacked}


def test_the_validation_split_knows_noisy_labels_only(recipe, monkeypatch):
    seen, split = [], problem_module.split_validation
    monkeypatch.setattr(
        problem_module, "split_validation", lambda labels, **settings: seen.append(labels) or split(labels, **settings)
    )
    problem_module._load_problem.cache_clear()
    problem = problem_module.load_problem(configs(recipe)[0][0])
    assert torch.equal(
        seen[0].sort().values, torch.cat([problem.training.labels, problem.validation.labels]).sort().values
    )
    assert (seen[0] != datasets.load("digits").train.labels).float().mean() > 0.3


def test_features_are_learned_from_training_texts_alone(recipe, tmp_path, monkeypatch):
    for name, word in (("train.csv", "seen"), ("test.csv", "unseen")):
        (tmp_path / name).write_text("text,label\n" + "".join(f"{word} a{n},yes\n{word} b{n},no\n" for n in range(20)))
    monkeypatch.setenv("LABELNOISE_DATA", str(tmp_path))
    learned, build = [], problem_module.features.build

    def spy(name, **settings):
        features = build(name, **settings)
        fit = features.fit
        features.fit = lambda texts: learned.extend(texts) or fit(texts)
        return features

    monkeypatch.setattr(problem_module.features, "build", spy)
    texts = Part(name="text-csv", train="train.csv", test="test.csv")
    recipe = recipe.model_copy(update={"datasets": [texts], "features": Part(name="tfidf", min_count=1)})
    problem = problem_module.load_problem(configs(recipe)[0][0])
    assert len(learned) == len(problem.training.labels) < 40
    assert all(text.startswith("seen") for text in learned)
