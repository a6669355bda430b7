"""The paper's claim on real data, in one command."""

import tempfile
from pathlib import Path
from typing import NamedTuple

from labelnoise import _files, datasets
from labelnoise.experiments import (
    choose_learning_rate,
    load_recipe,
    mean_validation_accuracy,
    read_all,
    run_all,
    study_runs,
    tuning_runs,
)
from labelnoise.reports import Summary, results_csv, study_page, summarise, to_csv
from labelnoise.training import progress_bar

_WORKERS = 2


class DemoResult(NamedTuple):
    """What the demo found, and where it lies."""

    summaries: list[Summary]
    learning_rate: float
    report: Path


def demo(out: Path | str = "labelnoise-demo", *, seeds: int = 5) -> DemoResult:
    """Train digits with wrong labels by four losses, find the wrong labels, and write a report.

    The packaged recipe ``digits``: ``cce``, ``mae``, ``gce`` and ``pruned_gce`` at 20 % and 40 % symmetric noise, the
    learning rate chosen by cross entropy's noisy validation. Runs that are finished in ``out`` are not done again, and
    one that was cut off goes on where it was.

    Args:
        out: folder for ``results.csv``, ``timings.csv``, ``learning_rate.csv``, ``report.html`` and ``runs/``.
        seeds: number of seeds, from 0.

    Raises:
        ValueError: no seed, or a folder that cannot be written.
    """
    if seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {seeds}")
    out = Path(out)
    root = out / "runs"
    try:
        root.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()
    except OSError as error:
        raise ValueError(f"out must be a folder that can be written, got {out}: {error.strerror}") from None

    recipe = load_recipe("digits")
    tuning = tuning_runs(recipe, range(seeds))
    total = len(tuning) + len(recipe.rates) * len(recipe.losses) * seeds
    with progress_bar("training", total=total) as advance:
        run_all(tuning, root, workers=_WORKERS, on_run=advance)
        tuned = read_all(tuning, root)
        learning_rate = choose_learning_rate(tuned)
        study = study_runs(recipe, learning_rate, range(seeds))
        run_all(study, root, workers=_WORKERS, on_run=advance)
    runs = read_all(study, root)

    accuracies = mean_validation_accuracy(tuned)
    _write(out / "learning_rate.csv", to_csv(("learning_rate", "validation_accuracy_best"), list(accuracies.items())))
    _write(out / "results.csv", results_csv(runs))
    seconds = sorted({run.config.run_id: run.seconds for run in [*tuned, *runs]}.items())
    _write(out / "timings.csv", to_csv(("run_id", "seconds"), seconds))
    page = study_page(
        runs,
        datasets.load(recipe.dataset),
        title=recipe.title,
        command=f"labelnoise demo --seeds {seeds}",
        learning_rates=accuracies,
        gallery=next(run for run in reversed(runs) if run.config.loss.name == "gce"),
    )
    _write(out / "report.html", page)
    return DemoResult(summarise(runs), learning_rate, out / "report.html")


def _write(path: Path, text: str) -> None:
    with _files.replacing(path) as file:
        file.write(text.encode())
