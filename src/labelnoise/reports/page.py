"""The HTML page of a study: one file, no script, nothing fetched."""

from collections.abc import Callable, Sequence

from labelnoise.datasets import Dataset
from labelnoise.reports import figures
from labelnoise.reports._template import render
from labelnoise.reports.gallery import suspects
from labelnoise.reports.references import bibtex
from labelnoise.reports.sections import Findings, Section, learning_rates, machines, versions
from labelnoise.reports.tables import loss_names
from labelnoise.runs import Part, Run, short_names

_GALLERY = 40


def study_page(findings: Findings, sections: Sequence[Section], data_of: Callable[[Part], Dataset]) -> str:
    """The report, with pictures or texts from the data set that ``data_of`` loads."""
    runs = findings.runs
    favourites = sorted(reversed(runs), key=lambda run: _rank(run, runs[-1]))
    galleries = ((run, suspects(run, data_of(run.config.dataset), count=_GALLERY)) for run in favourites)
    gallery, shown = next((pair for pair in galleries if pair[1]), (runs[-1], []))
    return render(
        "study.html",
        title=findings.title,
        command=findings.command,
        config=runs[0].config,
        datasets=short_names(run.config.dataset for run in runs).values(),
        environment=runs[0].environment,
        machine=machines(findings),
        learning_rates=learning_rates(findings),
        versions=versions(findings),
        seeds=len({run.config.seed for run in runs}),
        notes=[paragraph for paragraph in findings.notes.split("\n\n") if paragraph],
        sections=sections,
        why={"shapes": figures.loss_shapes(), "sums": figures.bounded_sum(10) + figures.bounded_sum(100)},
        bibtex=bibtex(runs),
        gallery=gallery.config,
        gallery_loss=loss_names(runs)[gallery.config.loss.label],
        suspects=shown,
        really_wrong=sum(suspect.given != suspect.true for suspect in shown),
    )


def _rank(run: Run, last: Run) -> tuple[bool, bool, float]:
    """Lower is nearer to what the gallery is to show: of the last problem the Lq that noisy validation likes best."""
    elsewhere = (run.config.problem, run.config.rate) != (last.config.problem, last.config.rate)
    return run.config.loss.name != "gce", elsewhere, -run.metrics["validation_accuracy_best"]
