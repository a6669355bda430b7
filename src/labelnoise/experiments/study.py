"""A whole study: choose the learning rate by noisy validation, then run everything with it."""

import math
from collections import Counter
from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import NamedTuple

from labelnoise.experiments.local import read_all, run_all, stop_workers
from labelnoise.experiments.problem import LoadedData, load_data
from labelnoise.experiments.recipe import LearningRate, Recipe
from labelnoise.experiments.sweep import choose_learning_rate, chooser, study_runs, tuning_runs
from labelnoise.runs import Part, Run, RunConfig, RunFolder, RunState, Store

Finish = Callable[[Sequence[RunConfig]], list[Run]]


class Counts(NamedTuple):
    """Runs by state."""

    done: int
    running: int
    failed: int
    left: int


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


def check_selection(recipe: Recipe, only: Callable[[RunConfig], bool]) -> None:
    """Raise a ``ValueError`` where ``only`` selects no run of the study, or there are no data."""
    placeholders = {loss.label: 1.0 for loss in recipe.losses}
    if not any(only(config) for config in study_runs(recipe, load_data(recipe.dataset), learning_rates=placeholders)):
        raise ValueError("the selection leaves no run of the study")


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
        ValueError: no data, or failed runs that leave no learning rate to choose.
        ChildProcessError: a worker was killed.
    """
    failures: dict[str, str] = {}

    def finish(configs: Sequence[RunConfig]) -> list[Run]:
        failures.update(run_all(configs, root, workers=workers, on_progress=on_progress, device=device))
        return read_all(configs, root)

    try:
        return _study(recipe, finish, only, failures)._replace(failures=failures)
    except ValueError as error:
        reason = next(iter(failures.values()), None)
        raise ValueError(f"{error}; the first failed with {reason}" if reason else str(error)) from None
    finally:
        stop_workers()


def read_study(recipe: Recipe, root: Path) -> Study:
    """What is finished of the study under ``root``."""
    failed = [run_id for run_id, state in _states(root).items() if state == "failed"]
    return _study(recipe, lambda configs: read_all(configs, root), lambda _: True, failed)


def count_runs(recipe: Recipe, root: Path) -> Counts:
    """How far the study under ``root`` is, all of it: runs that wait for their learning rate to be chosen are left too.

    Some of those may turn out to be the runs that chose it, and done.

    Raises:
        ValueError: no data.
    """
    data, states = load_data(recipe.dataset), _states(root)
    failed = [run_id for run_id, state in states.items() if state == "failed"]
    runs: list[RunConfig] = []

    def look(configs: Sequence[RunConfig]) -> list[Run]:
        runs.extend(configs)
        return read_all(configs, root)

    def learning_rate(loss: Part) -> float:
        able = _tune(recipe, data, loss, look, failed)
        return choose_learning_rate(able) if able else math.inf

    rule = recipe.learning_rate
    shared = learning_rate(chooser(recipe)) if isinstance(rule, LearningRate) else rule
    runs += study_runs(recipe, data, learning_rates={loss.label: shared for loss in recipe.losses})
    if isinstance(rule, LearningRate) and rule.each_loss:
        own = {loss.label: learning_rate(loss) for loss in recipe.losses}
        runs += study_runs(recipe, data, learning_rates=own)
    known = {run.run_id: run for run in runs if run.learning_rate < math.inf}
    found = Counter(
        "done" if RunFolder(root / "runs", run).is_finished else states.get(run_id, "left")
        for run_id, run in known.items()
    )
    waiting = sum(run.learning_rate == math.inf for run in runs)
    return Counts(found["done"], found["running"], found["failed"], found["left"] + waiting)


def _states(root: Path) -> dict[str, str]:
    """Of the runs that are not done, as far as the store knows; a clone of a recorded study has none."""
    path = root / "store.sqlite"
    states = Store(path).states() if path.exists() else []
    return {run.run_id: state for run, state in states if state != "done"}


def _study(recipe: Recipe, finish: Finish, only: Callable[[RunConfig], bool], failed: Container[str]) -> Study:
    data = load_data(recipe.dataset)
    tuned: dict[str, list[Run]] = {}

    def learning_rate(loss: Part) -> float | None:
        rule = recipe.learning_rate
        if not isinstance(rule, LearningRate):
            return rule
        able = _tune(recipe, data, loss, finish, failed)
        if not able:
            return None
        tuned[loss.label] = able
        return choose_learning_rate(able)

    def runs(learning_rates: dict[str, float]) -> list[Run]:
        return finish([run for run in study_runs(recipe, data, learning_rates=learning_rates) if only(run)])

    shared = learning_rate(chooser(recipe))
    if shared is None:
        raise ValueError(f"the runs that choose the learning rate by {chooser(recipe).name} are not all finished")
    result = runs({loss.label: shared for loss in recipe.losses})
    own: list[Run] = []
    if isinstance(recipe.learning_rate, LearningRate) and recipe.learning_rate.each_loss:
        chosen = {loss.label: learning_rate(loss) for loss in recipe.losses}
        rates = {label: rate for label, rate in chosen.items() if rate is not None}
        own = runs(rates) if len(rates) == len(chosen) else []
    return Study(result, own, tuned, {})


def _tune(recipe: Recipe, data: LoadedData, loss: Part, finish: Finish, failed: Container[str]) -> list[Run]:
    """The runs that choose the learning rate of ``loss``, without candidates that failed; none while any is left."""
    wanted = tuning_runs(recipe, data, loss=loss)
    done = finish(wanted)
    failures = [run.learning_rate for run in wanted if run.run_id in failed]
    if len(done) + len(failures) < len(wanted):
        return []
    return [run for run in done if run.config.learning_rate not in failures]
