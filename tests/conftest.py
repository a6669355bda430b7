import sys

import hypothesis
import jaxtyping
import pytest
import torch

from labelnoise.cli import main

torch.set_num_threads(1)
hypothesis.settings.register_profile("no deadline", deadline=None)  # a slow disk is no failure
hypothesis.settings.load_profile("no deadline")


def pair_flips(num_classes):
    """30 % of each class to the next: with three classes and more, most entries are zero."""
    return 0.7 * torch.eye(num_classes, dtype=torch.float64) + 0.3 * torch.eye(num_classes).roll(1, dims=1)


@pytest.fixture
def required():
    """``required(name, num_classes)``: the settings without which the loss ``name`` is not defined."""
    return lambda name, num_classes: {"transition": pair_flips(num_classes)} if name == "forward" else {}


@pytest.fixture
def without_shape_checks():
    """The library as users have it: jaxtyping's hook would refuse a wrong dtype before the library can say why."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def invoke(monkeypatch, capsys):
    """Run ``labelnoise ...`` in this process; returns exit code, output and errors."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["labelnoise", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return ended.value.code or 0, captured.out, captured.err

    return run
