"""The HTML page of a study: one file, no script, nothing fetched."""

from collections.abc import Sequence

import jinja2

from labelnoise.datasets import Dataset
from labelnoise.reports import figures
from labelnoise.reports.gallery import suspects
from labelnoise.reports.tables import summarise
from labelnoise.runs import Run

_GALLERY = 40


def study_page(
    runs: Sequence[Run], data: Dataset, *, title: str, command: str, learning_rates: dict[float, float], gallery: Run
) -> str:
    """The report of ``runs``; ``gallery`` is the run whose suspicious samples are shown.

    Args:
        runs: finished runs of one data set and one noise model.
        data: for the pictures and the names of the classes.
        title: what the page is called.
        command: what a reader types to get the same page.
        learning_rates: mean noisy validation accuracy of each candidate.
        gallery: one of ``runs``.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("labelnoise.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = suspects(gallery, data, count=_GALLERY)
    return environment.get_template("study.html").render(
        title=title,
        command=command,
        config=runs[0].config,
        environment=runs[0].environment,
        seeds=len({run.config.seed for run in runs}),
        learning_rates=learning_rates,
        summaries=summarise(runs),
        figures={
            "bars": figures.accuracy_bars(runs, "best") + figures.accuracy_bars(runs, "last"),
            "curves": "".join(figures.accuracy_by_epoch(runs, rate) for rate in figures.noise_rates(runs)),
            "shapes": figures.loss_shapes(),
            "sums": figures.bounded_sum(10) + figures.bounded_sum(100),
        },
        gallery=gallery.config,
        suspects=shown,
        really_wrong=sum(suspect.given != suspect.true for suspect in shown),
    )
