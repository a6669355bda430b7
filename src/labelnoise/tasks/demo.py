"""The paper's claim on real data, in one command."""

from pathlib import Path
from typing import NamedTuple

from labelnoise.experiments import load_recipe, run_study, study_progress
from labelnoise.reports import Summary
from labelnoise.tasks.study import check_failures, check_writable, write_results

_WORKERS = 2


class DemoResult(NamedTuple):
    """What the demo found, and where it lies."""

    summaries: list[Summary]
    learning_rate: float
    report: Path


def demo(out: Path | str = "labelnoise-demo", *, seeds: int = 5) -> DemoResult:
    """Train digits with wrong labels by four losses, find the wrong labels, and write a report.

    The first table of the packaged recipe ``digits``: ``cce``, ``mae``, ``gce`` and ``pruned_gce`` at 20 % and 40 %
    symmetric noise, the learning rate chosen by cross entropy's noisy validation. Runs that are finished in ``out`` are
    not done again, and one that was cut off goes on where it was.

    Args:
        out: folder for ``runs/`` and the results, as of :func:`labelnoise.tasks.study.run`.
        seeds: number of seeds, from 0.

    Raises:
        ValueError: no seed, or a folder that cannot be written.
        ChildProcessError: a worker was killed, or some runs failed.
    """
    if seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {seeds}")
    out = Path(out)
    check_writable(out)
    recipe = load_recipe("digits", {"seeds": seeds, "learning_rate.each_loss": False})  # one table, in half the time
    with study_progress() as show:
        study = run_study(recipe, out, workers=_WORKERS, on_progress=show)
    summaries = write_results(recipe, study, out, command=f"labelnoise demo --seeds {seeds}")
    check_failures(study)
    return DemoResult(summaries, study.runs[0].config.learning_rate, out / "report.html")
