"""The tables of the GCE paper, to stand beside ours.

``published.csv`` holds test accuracies in percent as the paper prints them, mean and standard deviation of five runs.
``verified`` says whether a second published source, the authors' slides among them, shows the same mean; the others
are transcriptions that nobody has held against the paper yet.
"""

import csv
import functools
from collections.abc import Sequence
from importlib.resources import files
from typing import NamedTuple

from labelnoise.reports.tables import Summary, summarise
from labelnoise.runs import Part, Run, RunConfig


class Published(NamedTuple):
    """One cell of the paper's tables."""

    accuracy: float
    """A fraction."""
    epoch: str
    """``"best"`` by noisy validation, or ``"last"``."""
    verified: bool


class Comparison(NamedTuple):
    """One of our rows beside the paper's."""

    ours: Summary
    published: Published


def beside_published(runs: Sequence[Run], *, open_set: bool) -> list[Comparison]:
    """Our rows for which the paper has a figure: its data set, noise, rate and loss, whatever the network.

    ``open_set`` tells whether the study, finished or not, is one of open-set noise: that experiment has a setting, and
    a column of closed-set noise, of its own.

    >>> beside_published([], open_set=False)
    []
    """
    experiments = ["open-set", "closed-set"] if open_set else ["closed-set"]
    cells = (
        (row, next(filter(None, (_cells().get((name, *_place(row.config))) for name in experiments)), None))
        for row in summarise(runs)
    )
    return [Comparison(row, cell) for row, cell in cells if cell is not None]


@functools.cache
def _cells() -> dict[tuple[str, str, str, float, str], Published]:
    with (files("labelnoise.reports") / "published.csv").open() as file:
        return {
            (row["experiment"], row["dataset"], row["noise"], float(row["rate"]), row["loss"]): Published(
                float(row["mean"]) / 100, row["epoch"], row["verified"] == "yes"
            )
            for row in csv.DictReader(file)
        }


def _place(config: RunConfig) -> tuple[str, str, float, str]:
    return config.dataset.name, config.noise.name, config.rate, _name_in_the_paper(config.loss)


def _name_in_the_paper(loss: Part) -> str:
    """With other settings than the paper's it is not the paper's loss, and has no figure there."""
    settings = loss.settings
    if loss.name == "gce":
        return {0.0: "cce", 0.7: "gce"}.get(settings["q"], "")
    if loss.name == "pruned_gce":
        return "pruned_gce" if (settings["q"], settings["k"]) == (0.7, 0.5) else ""
    return f"forward {settings['transition']}" if loss.name == "forward" else loss.name
