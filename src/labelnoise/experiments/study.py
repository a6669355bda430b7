"""A whole study: choose the learning rate by noisy validation, then run everything with it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from labelnoise.experiments.local import read_all, run_all, stop_workers
from labelnoise.experiments.problem import load_data
from labelnoise.experiments.recipe import LearningRate, Recipe
from labelnoise.experiments.sweep import choose_learning_rate, chooser, study_runs, tuning_runs
from labelnoise.runs import Part, Run, RunConfig, RunState

Finish = Callable[[Sequence[RunConfig]], list[Run]]


class Study(NamedTuple):
    """The finished runs of a study."""

    runs: list[Run]
    """Every loss with the same learning rate."""
    own_runs: list[Run]
    """Every loss with its own learning rate; empty where the recipe asks for no second table."""
    tuned: dict[str, list[Run]]
    """The runs that chose a learning rate, by the loss's label; empty where it is fixed."""
    failures: dict[str, str]
    """Error by run id."""


def run_study(
    recipe: Recipe,
    root: Path,
    *,
    workers: int,
    on_progress: Callable[[Sequence[RunState]], None],
    only: Callable[[RunConfig], bool] = lambda _: True,
    device: str = "cpu",
) -> Study:
    """Do what is left of the study under ``root``; what is finished is read.

    Args:
        recipe: what to run.
        root: the study's folder; it is made if need be.
        workers: number of processes.
        on_progress: told the state of every run twice a second, from a thread.
        only: which runs of the study to do; the runs that choose the learning rate are always done.
        device: ``"cpu"``, ``"cuda"``, ... or ``"auto"``.

    Raises:
        ValueError: nothing selected, no data, or failed runs that leave no learning rate to choose.
        ChildProcessError: a worker was killed.
    """
    placeholders = {loss.label: 1.0 for loss in recipe.losses}
    if not any(only(config) for config in study_runs(recipe, load_data(recipe.dataset), learning_rates=placeholders)):
        raise ValueError("the selection leaves no run of the study")
    failures: dict[str, str] = {}

    def finish(configs: Sequence[RunConfig]) -> list[Run]:
        failures.update(run_all(configs, root, workers=workers, on_progress=on_progress, device=device))
        return read_all(configs, root)

    try:
        return _study(recipe, finish, only)._replace(failures=failures)
    except ValueError as error:
        reason = next(iter(failures.values()), None)
        raise ValueError(f"{error}; the first failed with {reason}" if reason else str(error)) from None
    finally:
        stop_workers()


def read_study(recipe: Recipe, root: Path) -> Study:
    """What is finished of the study under ``root``."""
    return _study(recipe, lambda configs: read_all(configs, root), lambda _: True)


def _study(recipe: Recipe, finish: Finish, only: Callable[[RunConfig], bool]) -> Study:
    data = load_data(recipe.dataset)
    tuned: dict[str, list[Run]] = {}

    def learning_rate(loss: Part) -> float:
        rule = recipe.learning_rate
        if not isinstance(rule, LearningRate):
            return rule
        wanted = tuning_runs(recipe, data, loss=loss)
        tuned[loss.label] = finish(wanted)
        if len(tuned[loss.label]) < len(wanted):
            raise ValueError(f"the runs that choose the learning rate by {loss.name} are not all finished")
        return choose_learning_rate(tuned[loss.label])

    def runs(learning_rates: dict[str, float]) -> list[Run]:
        return finish([run for run in study_runs(recipe, data, learning_rates=learning_rates) if only(run)])

    shared = learning_rate(chooser(recipe))
    result = runs({loss.label: shared for loss in recipe.losses})
    own: list[Run] = []
    if isinstance(recipe.learning_rate, LearningRate) and recipe.learning_rate.each_loss:
        own = runs({loss.label: learning_rate(loss) for loss in recipe.losses})
    return Study(result, own, tuned, {})
