import json
import math
import shutil
from statistics import fmean, stdev

import pytest
import torch

from labelnoise.tasks import reproduce, study

SMALL = {"epochs": 2, "seeds": 3, "noises.0.rates": [0.4], "losses": [{"name": "cce"}], "learning_rate": 0.1}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    out = tmp_path_factory.mktemp("recorded")
    study.run("digits", out, changes=SMALL, workers=1)
    return out


@pytest.fixture
def out(recorded, tmp_path):
    return shutil.copytree(recorded, tmp_path / "copy")


def change(out, edit):
    """Let ``edit`` change every run's record."""
    for path in out.glob("runs/*/run.json"):
        run = json.loads(path.read_text())
        edit(run)
        path.write_text(json.dumps(run))


def elsewhere(run):
    run["environment"]["processor"] = "another"


def worse(run):
    run["metrics"]["test_accuracy_last"] -= 0.5


def accuracies(out):
    return [run.metrics["test_accuracy_last"] for run in study.read(out).runs]


def test_on_the_same_machine_bits_are_compared(out):
    found = reproduce.check(out)
    assert (found.same_machine, found.allowed, found.passed) == (True, 0.0, True)
    assert found.run.history == found.again.history
    change(out, lambda run: run["metrics"].update(test_accuracy_last=run["metrics"]["test_accuracy_last"] + 1e-12))
    assert not reproduce.check(out).passed


def test_a_run_is_done_again_on_one_thread_as_it_was_recorded(out, monkeypatch):
    seen, execute, before = [], reproduce.execute, torch.get_num_threads()
    monkeypatch.setattr(reproduce, "execute", lambda *run: (seen.append(torch.get_num_threads()), execute(*run)))
    try:
        torch.set_num_threads(2)
        reproduce.check(out)
    finally:
        torch.set_num_threads(before)
    assert seen == [1]


def test_a_history_of_another_run_is_seen(out):
    for path in out.glob("runs/*/history.csv"):
        path.write_text(path.read_text().replace("0.", "0.0", 1))
    assert not reproduce.check(out).passed


@pytest.mark.parametrize(
    "edit",
    [
        elsewhere,
        lambda run: run["environment"].update(accelerator="NVIDIA H100"),
        lambda run: run["environment"].pop("instructions"),  # as in records of before they were told
    ],
)
def test_elsewhere_two_standard_errors_are_allowed(edit, out):
    change(out, edit)
    found = reproduce.check(out)
    recorded = accuracies(out)
    assert not found.same_machine
    assert found.allowed == pytest.approx(2 * stdev(recorded) * math.sqrt(1 + 1 / 3))
    within = abs(found.again.metrics["test_accuracy_last"] - fmean(recorded)) <= found.allowed
    assert found.passed == within
    change(out, worse)
    assert not reproduce.check(out).passed


def test_of_one_recorded_seed_the_test_set_says_how_far(out):
    for path in out.glob("runs/*/run.json"):
        if json.loads(path.read_text())["config"]["seed"] > 0:
            path.unlink()
    change(out, elsewhere)
    found = reproduce.check(out)
    (accuracy,) = accuracies(out)
    assert found.allowed == pytest.approx(2 * math.sqrt(2 * accuracy * (1 - accuracy) / 360))
    assert found.passed


def test_without_a_finished_run_there_is_nothing_to_check(out):
    shutil.rmtree(out / "runs")
    with pytest.raises(ValueError, match=r"no run of the study in .* is finished"):
        reproduce.check(out)


@pytest.mark.parametrize(
    ("edit", "code", "told"), [(None, 0, "the same machine type and versions"), (worse, 1, "now;")]
)
def test_the_command_says_what_it_found_and_fails_with_it(invoke, edit, code, told, out):
    if edit:
        change(out, edit)
    ended, said, errors = invoke("study", "check", out)
    assert ended == code, errors
    assert told in said
    assert ("does not reproduce" in errors) == bool(edit)
