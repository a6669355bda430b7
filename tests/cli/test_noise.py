import functools
import subprocess
import sys

import pytest

import labelnoise.tasks


@pytest.fixture
def command(invoke):
    """Runs ``labelnoise noise ...``."""
    return functools.partial(invoke, "noise")


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("text,label\n" + "purrs,cat\nbarks,dog\n" * 50)
    return path


def test_two_lines_say_what_was_done_and_where_it_lies(command, data, tmp_path):
    out = tmp_path / "noisy.csv"
    options = ("--kind", "symmetric", "--rate", ".4", "--seed", "0", "--out", out)
    code, output, errors = command(data, "--label", "label", *options)
    assert (code, errors) == (0, "")
    pairs = zip(out.read_text().splitlines(), data.read_text().splitlines(), strict=True)
    changed = sum(new != old for new, old in pairs)
    assert output.splitlines() == [
        f"100 rows, 2 classes: {changed}.00% of the labels changed",
        f"Noisy copy: {out}, true labels: {out}.truth.csv",
    ]
    assert out.with_name("noisy.csv.truth.csv").read_text().splitlines()[:3] == ["index,true_label", "0,cat", "1,dog"]


def test_an_interrupt_promises_nothing(command, data, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(labelnoise.tasks, "add_noise", interrupted)
    code, _, errors = command(data, "--label", "label", "--rate", ".4", "--out", tmp_path / "noisy.csv")
    assert (code, errors.splitlines()[-1]) == (130, "labelnoise: interrupted")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--label": "lable"}, "unknown column of "),
        ({"--label": "text\n"}, "unknown column of "),
        ({"--kind": "symetric"}, "unknown noise model 'symetric'; did you mean 'symmetric'"),
        ({"--kind": "cifar10_map"}, "kind must be a noise model that needs labels only"),
        ({"--rate": "40"}, "rate must be a fraction within [0, 1], got 40.0"),
        ({"--out": "noisy.jsonl"}, "out must end in .csv"),
        ({"--out": "no/such/folder/noisy.csv"}, "out must lie in a folder that exists"),
    ],
)
def test_what_the_user_got_wrong_is_one_line_and_exit_code_2(command, data, changes, message):
    options = {"--label": "label", "--out": data.with_name("noisy.csv"), **changes}
    code, output, errors = command(data, *(word for option in options.items() for word in option))
    assert (code, output) == (2, "")
    assert errors.startswith(f"labelnoise: {message}")
    assert errors.count("\n") == 1
    assert list(data.parent.iterdir()) == [data]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("data.csv", b""),
        ("data.csv", b"text,label\na,b,c\n"),
        ("data.csv", b"text,label\n\xff,b\n"),
        ("data.jsonl", b"[]\n"),
        ("data.parquet", b"PAR1"),
        ("data.txt", b"text,label\n"),
    ],
)
def test_a_broken_file_is_one_line_that_names_it(command, tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    code, output, errors = command(path, "--label", "label", "--out", tmp_path / f"noisy{path.suffix}")
    assert (code, output) == (2, "")
    assert errors.startswith("labelnoise: ")
    assert errors.count("\n") == 1
    assert str(path) in errors
    assert list(tmp_path.iterdir()) == [path]


def test_help_imports_nothing_heavy():
    probe = """
import sys
from labelnoise.cli import main
sys.argv = ["labelnoise", "noise", "--help"]
try:
    main()
finally:
    heavy = {"torch", "numpy", "pyarrow"} & set(sys.modules)
    assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--rate" in done.stdout
