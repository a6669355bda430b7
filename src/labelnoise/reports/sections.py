"""What a study's report says, section by section; the Markdown and the HTML page show the same ones."""

import re
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from labelnoise.reports import figures
from labelnoise.reports.published import beside_published
from labelnoise.reports.tables import Spread, Summary, loss_names, passing_epochs, spread, summarise
from labelnoise.runs import Failure, Run, machine, package, problem_names, short_names


class Table(NamedTuple):
    """Text by row and column."""

    head: list[str]
    rows: list[list[str]]


class Section(NamedTuple):
    """A heading, and under it a table, figures and what is to be said of them, as far as there are any."""

    title: str
    text: str
    table: Table | None = None
    figures: dict[str, str] = {}  # noqa: RUF012  # never changed
    """SVG by name."""


class Findings(NamedTuple):
    """What a study came to, for its reports."""

    title: str
    command: str
    """What a reader types to get the same."""
    runs: Sequence[Run]
    """Finished runs, those of one data set all with the same learning rate."""
    own_runs: Sequence[Run] = ()
    """The same with a learning rate for each loss, where there are any."""
    chosen_by: dict[str, dict[float, float]] = {}  # noqa: RUF012  # never changed
    """Mean noisy validation accuracy of each candidate learning rate, by loss."""
    failures: Sequence[Failure] = ()
    open_set: bool = False
    """Whether open-set noise is part of the study, finished or not."""
    notes: str = ""
    """Markdown paragraphs that discuss the result; shown as plain text on the page."""


def study_sections(findings: Findings) -> list[Section]:
    """The sections that every report has; most of a report's time goes into drawing their figures."""
    runs, own_runs = findings.runs, findings.own_runs
    return [
        _results(runs),
        *_own(own_runs, findings.chosen_by),
        *_published(runs, findings.open_set),
        *_speed(runs, own_runs),
        *_curves(runs),
        *_pruning(runs),
        _cost(runs),
        *_failed(findings),
    ]


def learning_rates(findings: Findings) -> str:
    """Of the first table: one number, or one for each data set."""
    names = short_names(run.config.dataset for run in findings.runs)
    rates = {names[run.config.dataset.label]: run.config.learning_rate for run in findings.runs}
    if len(set(rates.values())) == 1:
        return str(findings.runs[0].config.learning_rate)
    return ", ".join(f"{rate} on {name}" for name, rate in rates.items())


def machines(findings: Findings) -> str:
    """What the runs of both tables were made on."""
    return _each(findings, machine)


def versions(findings: Findings) -> str:
    """What the runs of both tables were made with."""
    return _each(findings, package)


def _each(findings: Findings, words: Callable[[Mapping[str, Any]], str]) -> str:
    """Of all environments that runs of both tables were made in."""
    return " and ".join(dict.fromkeys(words(run.environment) for run in [*findings.runs, *findings.own_runs]))


def _results(runs: Sequence[Run]) -> Section:
    bars = {f"accuracy-{epoch}-epoch": figures.accuracy_bars(runs, epoch) for epoch in ("best", "last")}
    counts = [row.seeds for row in summarise(runs)]
    seeds = " to ".join(dict.fromkeys(str(count) for count in (min(counts), max(counts))))
    return Section(
        "Test accuracy, and how well the wrong labels were found",
        f"Percent, mean ± standard deviation over the seeds ({seeds}). Best epoch: the one of highest accuracy on "
        "the noisy validation set. AUROC is of the ranking by mean logit margin; a label is flagged where the network "
        "preferred another one on average over the epochs.",
        _accuracies(runs),
        bars,
    )


def _own(own_runs: Sequence[Run], chosen_by: dict[str, dict[float, float]]) -> list[Section]:
    sections: list[Section] = []
    if own_runs:
        text = "The same runs, but for the learning rate, which each loss's own noisy validation chose."
        sections.append(Section("Every loss with its own learning rate", text, _accuracies(own_runs)))
    if chosen_by:
        rates = sorted({rate for values in chosen_by.values() for rate in values})
        rows = [
            [loss, *(f"{100 * values[rate]:.2f}" if rate in values else "failed" for rate in rates)]
            for loss, values in chosen_by.items()
        ]
        table = Table(["loss", *map(str, rates)], rows)
        text = "Noisy validation accuracy at its best epoch by learning rate, percent; the test set has no part in it."
        sections.append(Section("How the learning rate was chosen", text, table))
    return sections


def _accuracies(runs: Sequence[Run]) -> Table:
    head = ["noise", "loss", "best epoch", "last epoch", "AUROC", "flags right", "errors found"]
    rows = [
        [*_key(row), *(value.percent() for value in (row.best, row.last, row.auroc, row.precision, row.recall))]
        for row in summarise(runs)
    ]
    extra = {
        "seeds": [str(row.seeds) for row in summarise(runs)],
        "learning rate": [str(row.config.learning_rate) for row in summarise(runs)],
    }
    for name, column in extra.items():  # said once elsewhere where all rows agree
        if len(set(column)) > 1:
            head.append(name)
            for row, value in zip(rows, column, strict=True):
                row.append(value)
    return Table(head, rows)


def _published(runs: Sequence[Run], open_set: bool) -> list[Section]:
    rows = [
        [
            *_key(ours),
            published.epoch,
            f"{100 * published.accuracy:.2f}" + ("" if published.verified else " *"),
            _of_epoch(ours, published.epoch).percent(),
            f"{100 * (_of_epoch(ours, published.epoch).mean - published.accuracy):+.1f}",
        ]
        for ours, published in beside_published(runs, open_set=open_set)
    ]
    if not rows:
        return []
    config = runs[0].config
    text = (
        "Test accuracy, percent. * as published (unverified transcription). The paper trains on the whole data set: "
        "ResNet-34 for 120 epochs on CIFAR-10, for 150 on CIFAR-100; ResNet-18 for 30 on Fashion-MNIST (unverified). "
        f"Here: {config.model.label}, {config.epochs} epochs, "
        f"{f'{config.train_samples:,} samples' if config.train_samples else 'all samples'}."
    )
    return [
        Section(
            "Beside the published figures",
            text,
            Table(["noise", "loss", "epoch", "published", "ours", "difference"], rows),
        )
    ]


def _speed(runs: Sequence[Run], own_runs: Sequence[Run]) -> list[Section]:
    rows = [
        [
            passing.dataset,
            " / ".join(map(str, passing.learning_rates)),
            str(passing.seed),
            f"{100 * passing.best:.1f}",
            str(passing.best_epoch),
            str(passing.passed_at or "never"),
        ]
        for passing in [*passing_epochs(runs), *passing_epochs(own_runs)]
    ]
    if not rows:
        return []
    head = ["data set", "learning rates", "seed", "mae's highest", "at epoch", "cce passes it at epoch"]
    text = (
        "The highest test accuracy of MAE in any epoch, percent, and the first epoch in which CCE's is higher; "
        "learning rates of CCE and MAE."
    )
    return [Section("How soon CCE passes MAE", text, Table(head, rows))]


def _curves(runs: Sequence[Run]) -> list[Section]:
    def each(kind: str) -> dict[str, str]:
        draw = {"accuracy": figures.accuracy_by_epoch, "loss": figures.loss_by_epoch, "belief": figures.belief_by_epoch}
        svgs: dict[str, str] = {}
        for number, (problem, rate) in enumerate(figures.problem_rates(runs)):
            name = re.sub(r"[^\w.=]+", "-", f"{kind} {problem} {rate}")
            svgs[f"{name}-{number}" if name in svgs else name] = draw[kind](runs, problem, rate)
        return svgs

    return [
        Section(
            "Accuracy by epoch",
            "On the test set; mean and one standard deviation over the seeds.",
            None,
            each("accuracy"),
        ),
        Section(
            "Validation loss by epoch",
            "Cross entropy against the noisy validation labels, whatever the training loss; mean and one standard "
            "deviation over the seeds.",
            None,
            each("loss"),
        ),
        Section(
            "How far the network believes the labels it is given",
            "Mean probability of the given label over training samples whose label is right (solid) or wrong (dashed). "
            "A wrong label that is believed has been fitted.",
            None,
            each("belief"),
        ),
    ]


def _pruning(runs: Sequence[Run]) -> list[Section]:
    pruned = [run for run in runs if "pruning" in run.metrics]
    names = loss_names(pruned)
    rows: list[list[str]] = []
    for row in summarise(pruned):
        alike = figures.at(pruned, row.problem, row.rate)
        scores = [run.metrics["pruning"] for run in alike if names[run.config.loss.label] == row.loss]
        values = (spread([score[name] for score in scores]).percent() for name in ("precision", "recall"))
        rows.append([*_key(row), *values])
    text = (
        "Of the samples that the last decision leaves out, the share that is wrongly labelled; of the wrong labels, "
        "the share left out. Percent. With a decision after the last epoch nothing was trained any more."
    )
    head = ["noise", "loss", "pruned labels wrong", "wrong labels pruned"]
    return [Section("Pruning", text, Table(head, rows))] if rows else []


def _cost(runs: Sequence[Run]) -> Section:
    names = loss_names(runs)
    rows = [
        [name, f"{fmean(run.seconds for run in runs if run.config.loss.label == label):.0f}"]
        for label, name in names.items()
    ]
    text = "Mean seconds of a run, data and features included, in one process of one thread."
    return Section("Time", text, Table(["loss", "seconds"], rows))


def _failed(findings: Findings) -> list[Section]:
    configs = [run.config for run in findings.runs] + [config for config, _ in findings.failures]
    problems, losses = problem_names(configs), short_names(config.loss for config in configs)
    rows = [
        [
            f"{problems[config.problem]} {config.rate:.0%}",
            losses[config.loss.label],
            str(config.learning_rate),
            str(config.seed),
            " ".join(error.split()),
        ]
        for config, error in findings.failures
    ]
    head = ["noise", "loss", "learning rate", "seed", "error"]
    text = "They are in no table and no figure above; the same command tries them again."
    return [Section("Runs that failed", text, Table(head, rows))] if rows else []


def _key(row: Summary) -> list[str]:
    return [f"{row.problem} {row.rate:.0%}", row.loss]


def _of_epoch(row: Summary, epoch: str) -> Spread:
    return row.best if epoch == "best" else row.last
