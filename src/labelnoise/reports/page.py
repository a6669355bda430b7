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
    runs: Sequence[Run],
    own_runs: Sequence[Run],
    data: Dataset,
    *,
    title: str,
    command: str,
    chosen_by: dict[str, dict[float, float]],
) -> str:
    """The report of ``runs``.

    Args:
        runs: finished runs of one data set, all with the same learning rate.
        own_runs: the same with a learning rate for each loss, where there are any.
        data: for the pictures or texts and the names of the classes.
        title: what the page is called.
        command: what a reader types to get the same page.
        chosen_by: mean noisy validation accuracy of each candidate learning rate, by loss.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("labelnoise.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    with_samples = [run for run in runs if run.samples is not None] or runs
    gallery = next((run for run in reversed(with_samples) if run.config.loss.name == "gce"), with_samples[-1])
    shown = suspects(gallery, data, count=_GALLERY)
    return environment.get_template("study.html").render(
        title=title,
        command=command,
        config=runs[0].config,
        environment=runs[0].environment,
        versions=sorted({run.environment["labelnoise"] for run in runs}),
        seeds=len({run.config.seed for run in runs}),
        chosen_by=chosen_by,
        summaries=summarise(runs),
        own_summaries=summarise(own_runs),
        figures={
            "bars": figures.accuracy_bars(runs, "best") + figures.accuracy_bars(runs, "last"),
            "curves": "".join(figures.accuracy_by_epoch(runs, *noise) for noise in figures.noise_rates(runs)),
            "belief": "".join(figures.belief_by_epoch(runs, *noise) for noise in figures.noise_rates(runs)),
            "shapes": figures.loss_shapes(),
            "sums": figures.bounded_sum(10) + figures.bounded_sum(100),
        },
        gallery=gallery.config,
        suspects=shown,
        really_wrong=sum(suspect.given != suspect.true for suspect in shown),
    )
