import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "fitting"))  # the makers of small noisy data

from noisy_data import features, own_code, read_csv, table, texts, write_csv

from labelnoise.tasks import fit

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def command(data, out, *arguments):
    options = [word for name, value in data.options.items() for word in (f"--{name}", str(value))]
    settings = ["--device", "cpu", "--no-refine", "--folds", "0", *arguments]
    return [sys.executable, "-m", "labelnoise", "fit", str(data.path), "--out", str(out), *options, *settings]


def run(*arguments):
    return subprocess.run(command(*arguments), capture_output=True, text=True, check=False, env=ENVIRONMENT)


def results(folder):
    return [(folder / name).read_bytes() for name in ("model.safetensors", "labels.csv", "metrics.json")]


def test_two_workers_give_the_bytes_of_one_and_the_screen_tells_what_was_found(tmp_path):
    data = texts(tmp_path)
    done = run(data, tmp_path / "two", "--epochs", "6", "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "Data: 160 rows (text), 2 classes"
    assert "\nModel: mlp" in done.stdout
    assert "of 160 labels are estimated to be wrong, between" in done.stdout
    assert "gce q=0.7" in done.stdout
    fit(data.path, out=tmp_path / "one", **data.options, epochs=6, workers=1, refine=False, folds=0, device="cpu")
    assert results(tmp_path / "two") == results(tmp_path / "one")


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_fit_that_is_cut_off_goes_on_to_the_same_bytes(invoke, tmp_path, end):
    data = features(tmp_path)
    settings = ("--epochs", "100", "--workers", "1", "--loss", "pruned_gce")
    log = tmp_path / "log"
    with log.open("w") as file:
        line = command(data, tmp_path / "fit", *settings)
        process = subprocess.Popen(line, env=ENVIRONMENT, stderr=file, stdout=file)
    epoch = tmp_path / "fit" / "work" / "candidate-1" / "epoch"
    deadline = time.monotonic() + 100
    while not epoch.exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(end)
    code = process.wait(timeout=60)
    assert not (tmp_path / "fit" / "metrics.json").exists()
    if end == signal.SIGINT:
        assert code == 130
        assert "interrupted; the same command goes on" in log.read_text()
    code, _, errors = invoke(*command(data, tmp_path / "fit", *settings)[3:])
    assert code == 0, errors
    assert not (tmp_path / "fit" / "work").exists()
    invoke(*command(data, tmp_path / "whole", *settings)[3:])
    assert results(tmp_path / "fit") == results(tmp_path / "whole")


@pytest.fixture
def refused(invoke, tmp_path):
    """A call that ends in one line and exit code 2."""

    def call(data, message, *arguments):
        code, _, err = invoke(*command(data, tmp_path / "fit", *arguments)[3:])
        lines = [line for line in err.splitlines() if line.startswith("labelnoise: ")]
        assert code == 2, err
        assert err.splitlines()[-1:] == lines, err
        assert "Traceback" not in err
        assert message in lines[0]

    return call


def test_mistakes_are_one_line(refused, tmp_path):
    data = table(tmp_path)
    mine = own_code(tmp_path)
    refused(data, "did you mean 'gce'", "--loss", "gcee")
    refused(data, "budget must be a time", "--budget", "soon")
    refused(data, "RuntimeError: boom", "--model", f"{mine}:broken")
    refused(data, "max_false_flags must be", "--max-false-flags", "2")
    refused(data._replace(options={}), "label must name a column")
    refused(data._replace(options={"label": "lable"}), "did you mean 'label'")
    latin = tmp_path / "latin.csv"
    latin.write_bytes("text,label\ncafé,a\n".encode("latin-1"))
    refused(data._replace(path=latin), "must be UTF-8 text, got the byte 0xe9 in line 2")
    for rows, message in [
        ([], "holds no rows"),
        ([(1, "a"), (2, "b")], "not a label column?"),
        ([(row, "a") for row in range(50)], "must have at least two classes"),
        ([(row, row) for row in range(50)], "not a label column?"),
        ([(1, row % 2) for row in range(50)], "x: constant"),
    ]:
        path = write_csv(tmp_path / "small.csv", ("x", "label"), rows)
        refused(data._replace(path=path), message)
    refused(data, "the loss became nan", "--loss", f"{mine}:NaNLoss", "--workers", "1", "--epochs", "1")


def test_a_second_fit_in_the_folder_is_one_line(refused, tmp_path):
    data = features(tmp_path)
    with subprocess.Popen(
        command(data, tmp_path / "fit", "--epochs", "2000", "--workers", "1", "--loss", "cce"),
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        text=True,
    ) as first:
        assert first.stdout.readline().startswith("Data: ")  # it is at work
        refused(data, "another fit is at work in", "--epochs", "2000", "--workers", "1", "--loss", "cce")
        refused(data, "another fit is at work in", "--overwrite")
        assert first.poll() is None
        first.kill()


def test_options_reach_the_fit(invoke, tmp_path):
    data = table(tmp_path)
    arguments = ["--select", "balanced", "--epochs", "2", "--workers", "1", "--loss", "cce", "--ignore", "colour"]
    code, out, err = invoke(*command(data, tmp_path / "fit", *arguments)[3:])
    assert code == 0, err
    assert "balanced accuracy" in " ".join(out.split())
    assert "colour" not in out
    assert len(read_csv(tmp_path / "fit" / "labels.csv")) == 160
    code, out, _ = invoke(*command(data, tmp_path / "fit", *arguments)[3:])
    assert code == 0
    assert "there is nothing to do" in out


def test_warnings_of_the_audit_are_told_and_others_are_not(invoke, tmp_path, monkeypatch):
    def rises(*_):
        warnings.warn("of no interest to the user", RuntimeWarning, stacklevel=1)
        return True

    monkeypatch.setattr("labelnoise.audit.labels.disagreement_rises", rises)
    code, _, err = invoke(
        *command(features(tmp_path), tmp_path / "fit", "--epochs", "2", "--workers", "1", "--loss", "cce")[3:]
    )
    assert code == 0
    assert "Warning: labels disagree with the model more often where it is surer" in err
    assert "of no interest" not in err
