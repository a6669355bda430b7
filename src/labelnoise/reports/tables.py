"""Runs as tables: one row a run for machines, mean and spread over seeds for people."""

import csv
import io
import math
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import NamedTuple

from labelnoise.runs import Run, RunConfig, problem_names, short_names

RESULT_FIELDS = (
    "run_id", "dataset", "noise", "rate", "loss", "seed", "best_epoch", "test_accuracy_best", "test_accuracy_last",
)  # fmt: skip


class Spread(NamedTuple):
    """Mean and sample standard deviation; the latter is NaN for one seed."""

    mean: float
    std: float

    def percent(self) -> str:
        """Such as ``94.7 ± 0.8``, ``94.7`` for one seed, and a dash where there is nothing to divide by."""
        if math.isnan(self.mean):
            return "–"
        return f"{100 * self.mean:.1f}" + ("" if math.isnan(self.std) else f" ± {100 * self.std:.1f}")


class Summary(NamedTuple):
    """One loss at one noise model and rate, over the seeds."""

    problem: str
    """Noise, and data set where there are several."""
    rate: float
    loss: str
    config: RunConfig
    """Of the first of its seeds."""
    seeds: int
    best: Spread
    """Test accuracy at the epoch of best noisy validation."""
    last: Spread
    """Test accuracy at the last epoch."""
    auroc: Spread
    """Of the ranking of wrong labels."""
    precision: Spread
    """Of the flagged labels."""
    recall: Spread
    """Of the wrong labels."""


class Passing(NamedTuple):
    """How soon CCE does better than MAE ever does, in one seed's runs without noise."""

    dataset: str
    learning_rates: tuple[float, float]
    """Of CCE and of MAE."""
    seed: int
    best: float
    """MAE's highest test accuracy in any epoch."""
    best_epoch: int
    passed_at: int | None
    """The first epoch in which CCE's test accuracy is higher."""


def passing_epochs(runs: Sequence[Run]) -> list[Passing]:
    """A row for each seed with runs of both ``cce`` and ``mae`` on clean labels: with noise CCE may well never."""
    datasets = short_names(run.config.dataset for run in runs)
    pairs: dict[tuple[str, int], dict[str, Run]] = {}
    for run in runs:
        if run.config.rate == 0:
            pairs.setdefault((datasets[run.config.dataset.label], run.config.seed), {})[run.config.loss.name] = run
    found: list[Passing] = []
    for (dataset, seed), pair in pairs.items():
        if not {"cce", "mae"} <= pair.keys():
            continue
        cce, mae = pair["cce"], pair["mae"]
        best = max(mae.history, key=lambda metrics: metrics.test_accuracy)
        passed = (metrics.epoch for metrics in cce.history if metrics.test_accuracy > best.test_accuracy)
        rates = (cce.config.learning_rate, mae.config.learning_rate)
        found.append(Passing(dataset, rates, seed, best.test_accuracy, best.epoch, next(passed, None)))
    return found


def spread(values: Sequence[float]) -> Spread:
    """Mean and spread of a few numbers; NaN where one of them is."""
    if any(map(math.isnan, values)):
        return Spread(math.nan, math.nan)
    return Spread(fmean(values), stdev(values) if len(values) > 1 else math.nan)


def summarise(runs: Sequence[Run]) -> list[Summary]:
    """A row for each problem, rate and loss, in the order in which the runs name them."""
    groups: dict[tuple[str, float, str], list[Run]] = {}
    names, problems = loss_names(runs), problems_of(runs)
    for run in runs:
        key = (problems[run.config.problem], run.config.rate, names[run.config.loss.label])
        groups.setdefault(key, []).append(run)
    return [
        Summary(
            problem,
            rate,
            loss,
            group[0].config,
            len(group),
            best=spread([run.metrics["test_accuracy_best"] for run in group]),
            last=spread([run.metrics["test_accuracy_last"] for run in group]),
            **{
                score: spread([run.metrics["detection"][score] for run in group])
                for score in ("auroc", "precision", "recall")
            },
        )
        for (problem, rate, loss), group in groups.items()
    ]


def loss_names(runs: Sequence[Run]) -> dict[str, str]:
    """What tables call each loss, by its label."""
    return short_names(run.config.loss for run in runs)


def problems_of(runs: Sequence[Run]) -> dict[tuple[str, str], str]:
    """What tables call each problem."""
    return problem_names([run.config for run in runs])


def results_csv(runs: Sequence[Run]) -> str:
    """One row a run, sorted, without anything that a second run of the same would change."""
    names, noises = loss_names(runs), short_names(run.config.noise for run in runs)
    datasets = short_names(run.config.dataset for run in runs)
    rows = [
        (
            run.config.run_id,
            datasets[run.config.dataset.label],
            noises[run.config.noise.label],
            run.config.rate,
            names[run.config.loss.label],
            run.config.seed,
            run.metrics["best_epoch"],
            run.metrics["test_accuracy_best"],
            run.metrics["test_accuracy_last"],
        )
        for run in runs
    ]
    return to_csv(RESULT_FIELDS, sorted(rows, key=lambda row: row[1:6]))


def to_csv(fields: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Comma separated, one line feed a line."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([fields, *rows])
    return text.getvalue()
