import csv
import importlib
import json
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from labelnoise.runs import Store
from labelnoise.tasks import study

SMALL = {
    "epochs": 3,
    "seeds": 2,
    "noises.0.rates": [0.4],
    "losses": [{"name": "cce"}, {"name": "gce", "q": 0.7}, {"name": "gce", "q": 0.3}],
    "learning_rate.candidates": [0.01, 0.1],
    "learning_rate.seeds": 1,
    "learning_rate.each_loss": True,
}


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    out = tmp_path_factory.mktemp("study")
    study.run("digits", out, changes=SMALL, workers=1)
    return out


def arguments(out, changes, workers=1):
    settings = [f"--set={name}={json.dumps(value)}" for name, value in changes.items()]
    return ["study", "run", "digits", f"--out={out}", f"--workers={workers}", *settings]


def start(*of):
    line = [sys.executable, "-m", "labelnoise", *arguments(*of)]
    return subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def test_losses_of_one_name_are_told_apart_by_what_differs(out):
    with (out / "results.csv").open(newline="") as file:
        losses = {row["loss"] for row in csv.DictReader(file)}
    assert losses == {"cce", "gce q=0.7", "gce q=0.3"}


def test_both_tables_are_in_both_reports(out):
    for name, row in (("README.md", r"\| symmetric 40% \|"), ("report.html", r"<td>symmetric 40%</td>")):
        assert len(re.findall(row, (out / name).read_text())) == 2 * 3
    chosen = (out / "learning_rate.csv").read_text().splitlines()
    assert chosen[0] == "loss,learning_rate,validation_accuracy_best"
    assert [line.split(",")[0] for line in chosen[1:]] == [
        loss for loss in ("cce", "gce q=0.7", "gce q=0.3") for _ in range(2)
    ]
    assert (out / "results_own_learning_rate.csv").exists()


def test_a_report_of_what_is_there_is_the_same_report(out):
    before = (out / "results.csv").read_bytes()
    assert len(study.report(out)) == 3
    assert (out / "results.csv").read_bytes() == before


def test_status_counts_the_runs_of_the_whole_study(invoke, out):
    found = study.read(out)
    ids = {run.config.run_id for runs in (found.runs, found.own_runs, *found.tuned) for run in runs}
    assert study.status(out) == (len(ids), 0, 0, 0)
    code, told, _ = invoke("study", "status", out, "--json")
    assert code == 0
    assert json.loads(told) == study.status(out)._asdict()


def test_status_of_a_clone_which_has_no_store(out, tmp_path):
    copy = shutil.copytree(out, tmp_path / "copy", ignore=shutil.ignore_patterns("store.sqlite*"))
    assert study.status(copy) == study.status(out)
    assert not (copy / "store.sqlite").exists()


def test_status_counts_what_waits_for_a_learning_rate(out, tmp_path):
    shutil.copy(out / "recipe.json", tmp_path)
    tuning, table = 3 * 2, 3 * 2  # losses x candidates, losses x seeds
    assert study.status(tmp_path) == (0, 0, 0, tuning + 2 * table)
    failed = study.read(out).tuned[0][0].config
    store = Store(tmp_path / "store.sqlite")
    store.add([failed])
    store.finish(failed, error="no")
    assert study.status(tmp_path) == (0, 0, 1, tuning + 2 * table - 1)


def test_a_study_from_before_a_setting_was_there_goes_on(tmp_path):
    changes, known = SMALL | {"learning_rate": 0.1}, tmp_path / "recipe.json"
    study.run("digits", tmp_path, changes=changes, only="loss=cce,seed=1", workers=1)
    settings = json.loads(known.read_text())
    assert settings.pop("compiled") is False
    known.write_text(json.dumps(settings))
    study.run("digits", tmp_path, changes=changes, only="loss=cce,seed=1", workers=1)
    assert "compiled" in json.loads(known.read_text())


@pytest.mark.parametrize("text", ["", "{", "[]", '{"title": "x"}'])
def test_a_damaged_recipe_is_named(tmp_path, text):
    (tmp_path / "recipe.json").write_text(text)
    for command in (lambda: study.run("digits", tmp_path, changes=SMALL), lambda: study.report(tmp_path)):
        with pytest.raises(ValueError, match=r"recipe\.json is no recipe"):
            command()


@pytest.mark.parametrize(("loss", "q"), [("cce", None), ("gce q=0.3", 0.3), ("gce q=0.30", 0.3)])
def test_only_some_runs(loss, q, tmp_path):
    study.run("digits", tmp_path, changes=SMALL | {"learning_rate": 0.1}, only=f"loss={loss},seed=1", workers=1)
    (run,) = (json.loads(path.read_text())["config"] for path in tmp_path.glob("runs/*/run.json"))
    assert (run["loss"]["name"], run["loss"].get("q"), run["seed"]) == (loss.partition(" ")[0], q, 1)


@pytest.mark.parametrize(
    ("changes", "only", "message"),
    [
        ({"epochs": 4}, "", "holds the study of another recipe"),
        ({"epoch": 4}, "", "unknown setting 'epoch'; did you mean 'epochs'"),
        ({}, "loss=gce q=0.5", "the selection leaves no run"),
        ({}, "loss=", "the selection leaves no run"),
        ({}, "losss=gce", "unknown selection 'losss'; did you mean 'loss'"),
    ],
)
def test_mistakes_are_named(out, changes, only, message):
    with pytest.raises(ValueError, match=message):
        study.run("digits", out, changes=SMALL | changes, only=only)


def test_a_folder_without_a_study_is_named(tmp_path):
    with pytest.raises(ValueError, match="holds no study: No such file"):
        study.status(tmp_path / "nothing")


def test_the_command_line_sets_what_is_json_as_json_and_fails_in_one_line(invoke, tmp_path):
    code, told, errors = invoke(*arguments(tmp_path, SMALL | {"learning_rate": 0.1}), "--only=seed=0")
    assert code == 0, errors
    assert len(re.findall(r"symmetric 40% ", told)) == 3
    for wrong in ("epochs", "epochs=many"):
        code, _, errors = invoke(*arguments(tmp_path, SMALL), "--set", wrong)
        assert code == 2
        assert errors.startswith("labelnoise: ")
        assert errors.count("\n") == 1


def test_failed_runs_are_told_of_after_the_others_have_been_reported(tmp_path):
    losses = [{"name": "cce"}, {"name": "forward", "transition": "true"}]
    open_set = {"name": "open_set", "rates": [0.4], "dataset": "digits"}  # which has no matrix
    changes = {"learning_rate": 0.1, "losses": losses, "noises": [open_set]}
    with pytest.raises(ChildProcessError, match="2 runs failed, the first with ValueError: noise open_set has no"):
        study.run("digits", tmp_path, changes=SMALL | changes, workers=1)
    assert len((tmp_path / "results.csv").read_text().splitlines()) == 1 + 2
    row = r"open_set .*40% \| forward \| 0.1 \| 1 \| ValueError: noise open_set has no transition matrix"
    assert re.search(row, (tmp_path / "README.md").read_text())
    assert len(study.report(tmp_path)) == 1


def test_a_learning_rate_that_diverges_is_not_chosen_and_stops_nothing(tmp_path):
    changes = SMALL | {"learning_rate.candidates": [0.01, 1e30], "losses": [{"name": "cce"}]}
    with pytest.raises(ChildProcessError, match="1 run failed, the first with NonFiniteLossError"):
        study.run("digits", tmp_path, changes=changes, workers=1)
    assert len((tmp_path / "results.csv").read_text().splitlines()) == 1 + 2
    assert "cce,1e+30" not in (tmp_path / "learning_rate.csv").read_text()
    before = {name: (tmp_path / name).read_bytes() for name in ("results.csv", "README.md", "report.html")}
    for path in tmp_path.glob("store.sqlite*"):  # as in a clone
        path.unlink()
    study.report(tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    assert study.status(tmp_path).failed == len(json.loads((tmp_path / "failures.json").read_text()))
    assert study.status(tmp_path).left == 0


def test_a_selection_leaves_the_other_finished_runs_in_the_tables(out, tmp_path):
    copy = shutil.copytree(out, tmp_path / "copy")
    study.run("digits", copy, changes=SMALL, workers=1, only="loss=cce,seed=1")
    for name in ("results.csv", "results_own_learning_rate.csv"):
        assert (copy / name).read_bytes() == (out / name).read_bytes()


def test_a_half_done_second_table_is_left_out(out, tmp_path):
    copy = shutil.copytree(out, tmp_path / "copy")
    (copy / "results_own_learning_rate.csv").unlink()
    chosen = {run.config.run_id for run in study.read(copy).runs}
    for folder in (copy / "runs").iterdir():
        config = json.loads((folder / "run.json").read_text())["config"]
        if config["loss"].get("q") == 0.3 and folder.name not in chosen:
            shutil.rmtree(folder)
    study.report(copy)
    assert (copy / "results.csv").read_bytes() == (out / "results.csv").read_bytes()
    assert not (copy / "results_own_learning_rate.csv").exists()


@pytest.mark.parametrize("only", ["rate=40%", "seed=first"])
def test_a_selection_that_is_no_number_is_named(only, tmp_path):
    with pytest.raises(ValueError, match=f"only must have a number as {only.partition('=')[0]}"):
        study.run("digits", tmp_path, only=only)


def test_the_command_in_the_report_repeats_the_study(out):
    command = (out / "command.txt").read_text()
    assert command.startswith(f"labelnoise study run digits --out {out.name} --set ")
    assert "epochs=3" in command
    assert "--device" not in command
    assert "epochs=3" in (out / "README.md").read_text()


def test_the_command_names_a_device_that_is_not_the_processor(out, tmp_path):
    copy = shutil.copytree(out, tmp_path / "copy")
    study.run("digits", copy, changes=SMALL, workers=1, device="auto")
    assert (copy / "command.txt").read_text().endswith(" --device auto\n")


@pytest.mark.parametrize(
    ("changes", "only", "message"),
    [
        ({"losses.3.k": 2.0}, "", r"k must be within \(0, 1\), got 2.0"),
        ({"learning_rate.chosen_by": "gcx"}, "", "unknown loss 'gcx'; did you mean 'gce'"),
        ({}, "loss=gcee", "the selection leaves no run of the study"),
        ({"datasets.0.name": "fashion-mnist"}, "", "LABELNOISE_DATA|--data-dir"),
        ({"epochs": 3}, "", "warmup must lie below epochs 3, got 60"),
        ({"losses.0.reduction": "none"}, "", "must give one number a batch"),
        ({"nesterov": True, "momentum": 0.0}, "", "Nesterov momentum requires a momentum"),
        ({"schedule": {"name": "one_cycle", "warmup_fraction": 3.0}}, "", "warmup_fraction must be within"),
        ({"schedule": {"name": "multi_step", "milestones": [90]}}, "", "milestones must lie below epochs 80"),
        ({"augment": {"name": "crop", "padding": -3}}, "", "padding must be 0 or more pixels"),
        ({"model": {"name": "resnet", "depth": 9, "width": 8}}, "", "depth"),
        ({"validation_fraction": 1e-6}, "", "fraction must leave samples on both sides"),
    ],
)
def test_what_cannot_be_run_is_refused_before_the_folder_is_bound(changes, only, message, tmp_path, monkeypatch):
    monkeypatch.delenv("LABELNOISE_DATA", raising=False)
    with pytest.raises(ValueError, match=message):
        study.run("digits", tmp_path / "out", changes=changes, only=only)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_an_augmentation_of_texts_is_refused_before_the_folder_is_bound(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text("text,label\n" + "good,yes\nbad,no\n" * 30)
    monkeypatch.setenv("LABELNOISE_DATA", str(tmp_path))
    texts = {"datasets.0": {"name": "text-csv", "train": "a.csv", "test": "a.csv"}, "features": {"name": "tfidf"}}
    with pytest.raises(ValueError, match="inputs must be images"):
        study.run("digits", tmp_path / "out", changes=SMALL | texts | {"augment": {"name": "crop"}})
    assert not (tmp_path / "out").exists()


def test_several_data_sets_are_told_apart_and_each_chooses_its_learning_rate(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    for name, word in (("a-b.csv", "fine"), ("a/b.csv", "good fine nice")):  # of which figures' names make the same
        (tmp_path / name).write_text("text,label\n" + "".join(f"{word} {n},yes\nbad {n},no\n" for n in range(30)))
    monkeypatch.setenv("LABELNOISE_DATA", str(tmp_path))
    monkeypatch.setattr(  # the first data set's lowest, the second's highest
        "labelnoise.experiments.study.choose_learning_rate",
        lambda runs: {"a/b.csv": min, "a-b.csv": max}[runs[0].config.dataset.settings["train"]](
            run.config.learning_rate for run in runs
        ),
    )
    sets = [{"name": "text-csv", "train": name, "test": "a-b.csv"} for name in ("a/b.csv", "a-b.csv")]
    changes = SMALL | {
        "datasets": sets,
        "features": {"name": "tfidf", "min_count": 1},
        "losses": [{"name": "cce"}, {"name": "mae"}],
        "noises.0.rates": [0.0],
        "learning_rate.at_rate": 0.0,
    }
    out = tmp_path / "out"
    rows = study.run("digits", out, changes=changes, workers=1)
    assert study.status(out).left == study.status(out).failed == 0
    assert [(row.problem, row.config.learning_rate) for row in rows] == [
        *[("text-csv train=a/b.csv symmetric", 0.01)] * 2,
        *[("text-csv train=a-b.csv symmetric", 0.1)] * 2,
    ]
    text, page = (out / "README.md").read_text(), (out / "report.html").read_text()
    assert len(re.findall(r"\| text-csv train=a/b.csv \| 0\.01 / 0\.01 \| [01] \|", text)) == 2 * 2
    for report in (text, page):
        assert "earning rate 0.01 on text-csv train=a/b.csv, 0.1 on text-csv train=a-b.csv" in report
    assert len(list((out / "figures").glob("*.svg"))) == 2 + 2 * 3
    assert "text-csv train=a-b.csv cce,0.01," in (out / "learning_rate.csv").read_text()
    assert len((out / "learning_rate.csv").read_text().splitlines()) == 1 + 2 * 2 * 2


def test_interrupted_it_says_so_and_goes_on_to_the_same_bytes(out, tmp_path):
    driver = start(tmp_path, SMALL, 2)
    while not list(tmp_path.glob("runs/*/run.json")):
        assert driver.poll() is None
        time.sleep(0.02)
    driver.send_signal(signal.SIGINT)
    _, errors = driver.communicate(timeout=100)
    assert driver.returncode == 130
    assert errors.endswith("labelnoise: interrupted; the same command goes on from the last finished epoch\n")
    assert "Traceback" not in errors
    study.run("digits", tmp_path, changes=SMALL, workers=1)
    for name in ("results.csv", "results_own_learning_rate.csv", "learning_rate.csv"):
        assert (tmp_path / name).read_bytes() == (out / name).read_bytes()
    assert not list(tmp_path.rglob(".*"))


def test_two_drivers_of_which_one_is_killed_come_to_the_bytes_of_an_undisturbed_one(tmp_path):
    slow = {"augment": {"name": "crop", "padding": 1}, "epochs": 20, "seeds": 1, "learning_rate": 0.1}  # so not stacked
    changes, both = SMALL | slow, tmp_path / "both"
    drivers = [start(both, changes) for _ in range(2)]
    while len(list(both.glob("runs/*/checkpoint.pt"))) < 2:  # each is at a run of its own
        assert [driver.poll() for driver in drivers] == [None, None]
        time.sleep(0.02)
    drivers[0].kill()
    drivers[0].communicate()
    _, errors = drivers[1].communicate(timeout=120)
    assert drivers[1].returncode == 0, errors
    study.run("digits", tmp_path / "one", changes=changes, workers=1)
    assert (both / "results.csv").read_bytes() == (tmp_path / "one" / "results.csv").read_bytes()


def test_a_data_set_of_which_nothing_is_selected_chooses_no_learning_rate(tmp_path, monkeypatch):
    module = importlib.import_module("labelnoise.experiments.data")
    digits = module.datasets.load("digits")
    monkeypatch.setattr(module.datasets, "load", lambda *_, **__: digits)
    changes = SMALL | {"datasets": [{"name": "fashion-mnist"}, {"name": "digits"}]}
    rows = study.run("digits", tmp_path / "out", changes=changes, workers=1, only="dataset=digits")
    module._load_data.cache_clear()
    assert {row.config.dataset.name for row in rows} == {"digits"}
    names = {json.loads(path.read_text())["config"]["dataset"]["name"] for path in tmp_path.rglob("run.json")}
    assert names == {"digits"}
