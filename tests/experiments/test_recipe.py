import json
import re
import tomllib
from datetime import date
from importlib.resources import files
from pathlib import Path

import pytest

from labelnoise.experiments import Recipe, load_data, load_recipe, parse_recipe, recipe_names, study_runs
from labelnoise.experiments.noises import NOISES
from labelnoise.training import fabric

DIGITS = (files("labelnoise.experiments") / "recipes" / "digits.toml").read_text()


@pytest.mark.parametrize("name", recipe_names())
def test_every_packaged_recipe_is_valid(name):
    assert load_recipe(name).title


def test_defaults_are_written_out_so_that_a_later_version_cannot_change_a_result():
    recipe = load_recipe("digits")
    assert [loss.name for loss in recipe.losses] == ["cce", "mae", "gce", "pruned_gce"]
    assert recipe.losses[3].settings.items() >= {"q": 0.7, "k": 0.5, "update": "exact", "average": "batch"}.items()
    assert recipe.schedule.settings == {"milestones": (), "gamma": 0.1}


def test_changes_reach_into_tables_and_lists():
    recipe = load_recipe("digits", {"epochs": 3, "model.hidden": [8], "losses.2.q": 0.5, "noises.0.rates": [0.3]})
    assert recipe.epochs == 3
    assert recipe.model.settings == {"hidden": [8]}
    assert recipe.losses[2].settings["q"] == 0.5
    assert recipe.noises[0].rates == [0.3]


def test_what_a_run_supplies_to_one_kind_another_may_be_told():
    human = {"name": "cifar10n", "labels": "aggregate"}  # of a noise model they are the data's
    assert load_recipe("digits", {"datasets": [human]}).datasets[0].settings == {"labels": "aggregate"}


@pytest.mark.parametrize(("gains", "resolved"), [(True, "bf16-mixed"), (False, "32-true")])
def test_auto_precision_is_settled_before_a_run_has_an_identity(monkeypatch, gains, resolved):
    monkeypatch.setattr(fabric, "_gains_by_bfloat16", lambda device: gains and device == "cuda")

    data = load_data(load_recipe("digits").datasets[0])

    def ids(precision):
        recipe = load_recipe("digits", {"precision": precision}, device="cuda")
        assert Recipe(**json.loads(recipe.model_dump_json())).precision == recipe.precision
        rates = {loss.label: 0.1 for loss in recipe.losses}
        return {run.run_id: run.precision for run in study_runs(recipe, data, learning_rates=rates)}

    assert set(ids("auto").values()) == {resolved}
    assert ids("auto") == ids(resolved)
    assert load_recipe("digits", {"precision": "auto"}).precision == "32-true"  # for the CPU


@pytest.mark.parametrize("name", recipe_names())
def test_packaged_recipes_give_the_same_runs_on_every_machine(monkeypatch, name):
    monkeypatch.setattr(fabric, "_gains_by_bfloat16", lambda _: True)
    assert load_recipe(name).precision == "32-true"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs = 80", "epoch = 80", "unknown setting 'epoch'; did you mean 'epochs'"),
        ("epochs = 80", "epochs = 'many'", "recipe setting epochs: .*valid integer.* got 'many'"),
        ("epochs = 80", "epochs = -80", "recipe setting epochs: .*greater than or equal to 1, got -80"),
        ("rates = [0.2, 0.4]", "rates = [0.2, 1.4]", "setting noises.0.rates.1: .*less than or equal to 1, got 1.4"),
        ("at_rate = 0.4", "", "learning_rate needs a setting 'at_rate', as the first noise model is symmetric"),
        ('chosen_by = "cce"', "", "recipe setting learning_rate.chosen_by: Field required"),
        ("candidates =", "candidate =", "unknown setting of learning_rate 'candidate'; did you mean 'candidates'"),
        (
            "learning_rate]\ncandidates = [0.01",
            "learning_rate]\ncandidates = [0",
            "learning_rate.candidates.0: .*than 0",
        ),
        ("epochs = 80", "epochs = ", "recipe is not TOML: .*line"),
        ('"mae"', '"maee"', "unknown loss 'maee'; did you mean 'mae'"),
        ("warmup = 60", "warmpu = 60", "unknown setting of pruned_gce 'warmpu'; did you mean 'warmup'"),
        ('"mlp"', '"mmp"', "unknown model 'mmp'; did you mean 'mlp'"),
        ('"symmetric"', '"symetric"', "unknown noise model 'symetric'; did you mean 'symmetric'"),
        ('"multi_step"', '"multistep"', "unknown schedule 'multistep'; did you mean 'multi_step'"),
        ('"32-true"', '"8-bit"', "precision must be 'auto', '32-true' or 'bf16-mixed', got '8-bit'"),
        ('precision = "32-true"', "", "recipe setting precision: Field required"),
        ('"digits"', '"digit"', "unknown data set 'digit'; did you mean 'digits'"),
    ],
)
def test_mistakes_are_named_in_one_line(old, new, message):
    assert old in DIGITS
    with pytest.raises(ValueError, match=message) as error:
        parse_recipe(DIGITS.replace(old, new))
    assert type(error.value) is ValueError
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("digit", {}, "unknown recipe 'digit'; did you mean 'digits'"),
        ("no/such.toml", {}, "recipe no/such.toml cannot be read: No such file"),
        ("digits", {"losses.9.q": 1.0}, "the recipe has no setting 'losses.9.q'"),
        ("digits", {"losses.²": 1.0}, "the recipe has no setting 'losses.²'"),
        ("digits", {"3": 4}, "unknown setting '3'"),
        ("digits", {"learning_rate.chosen_by": "forward"}, "loss forward needs a setting 'transition'"),
        ("digits", {"epoch": 1}, "unknown setting 'epoch'; did you mean 'epochs'"),
        ("digits", {"model.hidden": "abc"}, "setting hidden of mlp: .* got 'abc'"),
        ("digits", {"model.hidden": [2.5]}, r"setting hidden of mlp: .*valid integer, got \[2.5\]"),
        ("digits", {"model.num_classes": 3}, "unknown setting of mlp 'num_classes'"),
        ("digits", {"schedule.milestones": 40}, "setting milestones of multi_step: .* got 40"),
        ("digits", {"losses.2.q": "high"}, "setting q of gce: .*valid number, got 'high'"),
        ("digits", {"losses.0.weight": 3}, "setting weight of cce: Input should be null, got 3"),
        ("digits", {"losses.0": {"name": "forward"}}, "loss forward needs a setting 'transition'"),
        (
            "digits",
            {"losses.0": {"name": "forward", "transition": "true", "label_smoothing": 7.0}},
            r"label_smoothing must be within \[0, 1\], got 7.0",
        ),
        (
            "digits",
            {"losses.0": {"name": "forward", "transition": "treu"}},
            "transition must be 'true' or 'est.* 'treu'",
        ),
        ("digits", {"losses.0": {"name": "gce"}}, "losses must differ from each other, got number 0 again as 2"),
        ("digits", {"losses.0": {"name": "gce", "q": 1}, "losses.1": {"name": "gce", "q": 1.0}}, "0 again as 1"),
        ("digits", {"noises.0.rates": [0.4, 0.4]}, "rates of symmetric must differ from each other"),
        ("digits", {"noises": [{"name": "symmetric", "rates": [rate]} for rate in (0.1, 0.4)]}, "noises must differ"),
        ("digits", {"learning_rate.candidates": [0.1, 0.1]}, "learning_rate.candidates must differ from each other"),
        ("digits", {"learning_rate": float("inf")}, "recipe setting learning_rate: .*finite number"),
        ("digits", {"schedule.milestones": date(1979, 5, 27)}, "milestones of multi_step: must be a number, a text"),
        ("digits", {"datasets": []}, "recipe setting datasets: .*at least 1 item"),
        ("digits", {"dataset": {"name": "digits"}}, "unknown setting 'dataset'; did you mean 'datasets'"),
        ("digits", {"datasets.0": "digits"}, "recipe setting datasets.0: .*dict.*, got 'digits'"),
    ],
)
def test_what_is_not_there_is_named(name, changes, message):
    with pytest.raises(ValueError, match=message):
        load_recipe(name, changes)


def test_a_file_that_is_no_text_is_named(tmp_path):
    (tmp_path / "recipe.toml").write_bytes(b"title = '\xff'")
    with pytest.raises(ValueError, match=r"recipe .*recipe\.toml is not UTF-8"):
        load_recipe(str(tmp_path / "recipe.toml"))


def test_the_recipe_of_the_documentation_is_one():
    text = (Path(__file__).parents[2] / "docs" / "study.md").read_text()
    recipe, noises = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert parse_recipe(recipe).learning_rate.each_loss
    assert [grid.name for grid in parse_recipe(recipe, tomllib.loads(noises)).noises] == ["map_flip", "class_dependent"]
    table = text[text.index("| `symmetric`") : text.index("```toml\nnoises")]
    named = {name for row in table.splitlines() if row for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named == {*NOISES}
