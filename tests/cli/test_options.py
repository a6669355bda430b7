"""Every option reaches its task, and the documents type only what there is."""

import importlib
import os
import re
import shlex
from pathlib import Path

import pytest
import typer

from labelnoise.cli import app

ROOT = Path(__file__).parents[2]
GROUP = typer.main.get_command(app)
# Of each command: the task it calls, what is typed, and what the task is to get; nothing of it is a default.
CALLS = {
    "fit": (
        "labelnoise.tasks.fit",
        "data.csv --out out --label a --text b --image c --root r --labels y.npy --id i --numeric n --numeric m "
        "--categorical e --ignore g --test t.csv --trusted d.csv --truth w.csv --model lenet --loss mae --budget 3m "
        "--epochs 4 --refine --folds 6 --select balanced --assume class --max-false-flags 0.2 --image-size 16 --seed 7 "
        "--device cuda --precision bf16-mixed --workers 3 --overwrite",
        {
            "label": "a", "text": "b", "image": "c", "root": Path("r"), "labels": Path("y.npy"), "id": "i",
            "numeric": ["n", "m"], "categorical": ["e"], "ignore": ["g"], "test": Path("t.csv"),
            "trusted": Path("d.csv"), "truth": Path("w.csv"), "model": "lenet", "loss": "mae", "budget": "3m",
            "epochs": 4, "refine": True, "folds": 6, "balanced": True, "assume": "class", "max_false_flags": 0.2,
            "image_size": 16, "seed": 7, "device": "cuda", "precision": "bf16-mixed", "workers": 3, "overwrite": True,
            "out": Path("out"), "tell": typer.echo,
        },
    ),
    "audit": (
        "labelnoise.tasks.audit_files",
        "--pred-probs p.npy --labels y.npy --out out --assume instance --max-false-flags 0.2",
        {"out": Path("out"), "assume": "instance", "max_false_flags": 0.2},
    ),
    "predict": (
        "labelnoise.tasks.predict",
        "fit new.csv --out out.csv --root r --model net.py:make --device cuda",
        {"out": Path("out.csv"), "root": Path("r"), "model": "net.py:make", "device": "cuda"},
    ),
    "noise": (
        "labelnoise.tasks.add_noise",
        "data.csv --label a --out out.csv --kind pair_flip --rate 0.3 --seed 7",
        {"label": "a", "out": Path("out.csv"), "kind": "pair_flip", "rate": 0.3, "seed": 7},
    ),
    "demo": ("labelnoise.tasks.demo", "--out out --seeds 2", {"seeds": 2}),
    "study run": (
        "labelnoise.tasks.study.run",
        "digits --out out --workers 3 --set seeds=2 --only loss=gce --data-dir /there --device cuda",
        {"workers": 3, "changes": {"seeds": 2}, "only": "loss=gce", "device": "cuda"},
    ),
}  # fmt: skip


def command_of(words):
    """The command that a line begins with, and the words after it."""
    command, rest = GROUP, list(words)
    while hasattr(command, "commands") and rest and rest[0] in command.commands:
        command = command.commands[rest.pop(0)]
    return command, rest


@pytest.mark.parametrize("name", CALLS)
def test_every_option_reaches_the_task(name, invoke, monkeypatch):
    task, typed, expected = CALLS[name]
    seen = {}

    def called(*_, **settings):
        seen.update(settings)
        raise ValueError("called")

    module, _, function = task.rpartition(".")
    monkeypatch.setattr(importlib.import_module(module), function, called)
    monkeypatch.setenv("LABELNOISE_DATA", "/elsewhere")
    command, words = command_of([*name.split(), *shlex.split(typed)])
    assert invoke(*name.split(), *words)[0::2] == (2, "labelnoise: called\n")
    assert seen == expected
    assert os.environ["LABELNOISE_DATA"] == ("/there" if "--data-dir" in words else "/elsewhere")
    options = {parameter.opts[0] for parameter in command.params if parameter.param_type_name == "option"}
    assert options - {"--help"} <= set(words)


def lines_of(text):
    """Whole commands, of blocks and within sentences."""
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        yield from (line.removeprefix(".venv/bin/") for line in block.splitlines())
    yield from re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda path: path.name
)
def test_the_documents_type_only_what_there_is(path):
    for line in lines_of(path.read_text()):
        if not line.startswith("labelnoise "):
            continue
        command, words = command_of(shlex.split(line, comments=True)[1:])
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert not hasattr(command, "commands") or not words, line
        assert {word for word in words if word.startswith("-")} <= known, line
