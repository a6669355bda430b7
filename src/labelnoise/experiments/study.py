"""A whole study: choose the learning rate by noisy validation, then run everything with it, data set by data set."""

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from labelnoise import _files
from labelnoise.experiments.data import LoadedData, load_data
from labelnoise.experiments.local import read_all, run_all, stop_workers
from labelnoise.experiments.parts import check_parts
from labelnoise.experiments.recipe import LearningRate, Recipe
from labelnoise.experiments.sweep import choose_learning_rate, chooser, study_runs, tuning_runs
from labelnoise.runs import Failure, Part, Run, RunConfig, RunFolder, RunState, Store

_FAILURES = "failures.json"

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
    """Of one data set, every loss with the same learning rate."""
    own_runs: list[Run]
    """Every loss with its own learning rate; empty where the recipe asks for no second table."""
    tuned: list[list[Run]]
    """The runs that chose a learning rate, choice by choice; empty where it is fixed."""
    failures: list[Failure]


def check_selection(recipe: Recipe, only: Callable[[RunConfig], bool]) -> None:
    """Raise a ``ValueError`` where there are no data, settings do not fit them or each other, or no run is selected."""
    is_empty = True
    for part in recipe.datasets:
        data = load_data(part)
        for run in {run.loss.label: run for run in _selected(only, recipe, data)}.values():
            check_parts(run, data.dataset)
            is_empty = False
    if is_empty:
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
        only: which runs of the study to do; the runs that choose their learning rate are always done.
        device: ``"cpu"``, ``"cuda"``, ... or ``"auto"``.

    Raises:
        ValueError: no data, or failed runs that leave no learning rate to choose.
        ChildProcessError: a worker was killed.
    """
    failures: list[Failure] = []

    def finish(configs: Sequence[RunConfig]) -> list[Run]:
        found = run_all(configs, root, workers=workers, on_progress=on_progress, device=device)
        failures.extend(failure for failure in found if failure not in failures)
        return read_all(configs, root)

    try:
        return _study(recipe, finish, only, failures)
    finally:
        stop_workers()


def read_study(recipe: Recipe, root: Path) -> Study:
    """What is finished of the study under ``root``."""
    return _study(recipe, lambda configs: read_all(configs, root), lambda _: True, _failures(root))


def count_runs(recipe: Recipe, root: Path) -> Counts:
    """How far the study under ``root`` is, all of it: runs that wait for their learning rate to be chosen are left too.

    Some of those may turn out to be the runs that chose it, and done.

    Raises:
        ValueError: no data.
    """
    store, failures = _store(root), _failures(root)
    states = {run.run_id: "failed" for run, _ in failures}
    if store:
        states |= {run.run_id: state for run, state in store.states() if state != "done"}
    runs = [run for part in recipe.datasets for run in _planned(recipe, load_data(part), root, failures)]
    known = {run.run_id: run for run in runs if run.learning_rate < math.inf}
    counts = Counter(
        "done" if RunFolder(root / "runs", run).is_finished else states.get(run_id, "left")
        for run_id, run in known.items()
    )
    waiting = sum(run.learning_rate == math.inf for run in runs)
    return Counts(counts["done"], counts["running"], counts["failed"], counts["left"] + waiting)


def _planned(recipe: Recipe, data: LoadedData, root: Path, failures: Sequence[Failure]) -> list[RunConfig]:
    """All runs on one data set, those with an infinite learning rate whose own is not chosen yet."""
    runs: list[RunConfig] = []

    def look(configs: Sequence[RunConfig]) -> list[Run]:
        runs.extend(configs)
        return read_all(configs, root)

    def learning_rate(loss: Part) -> float:
        able = _tune(recipe, data, loss, look, failures)
        return choose_learning_rate(able) if able else math.inf

    rule = recipe.learning_rate
    shared = learning_rate(chooser(recipe)) if isinstance(rule, LearningRate) else rule
    runs += study_runs(recipe, data, learning_rates={loss.label: shared for loss in recipe.losses})
    if isinstance(rule, LearningRate) and rule.each_loss:
        own = {loss.label: learning_rate(loss) for loss in recipe.losses}
        runs += study_runs(recipe, data, learning_rates=own)
    return runs


def _selected(only: Callable[[RunConfig], bool], recipe: Recipe, data: LoadedData) -> list[RunConfig]:
    """The selected runs on ``data``, with a learning rate that is still to be chosen."""
    return list(filter(only, study_runs(recipe, data, learning_rates={loss.label: 1.0 for loss in recipe.losses})))


def write_failures(root: Path, failures: Sequence[Failure]) -> None:
    """Put the failures beside the runs, for who has those but not the store; no file where none has ever been."""
    if not failures and not (root / _FAILURES).exists():
        return
    rows = [{"config": config.model_dump(mode="json"), "error": error} for config, error in failures]
    with _files.replacing(root / _FAILURES) as file:
        file.write((json.dumps(rows, indent=2) + "\n").encode())


def _failures(root: Path) -> list[Failure]:
    """As the store knows them; a clone of a recorded study has none, and reads what was written beside the runs."""
    if (store := _store(root)) is not None:
        return store.failures()
    try:
        rows = json.loads((root / _FAILURES).read_text())
        return [(RunConfig.model_validate(row["config"]), row["error"]) for row in rows]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError, KeyError):
        raise ValueError(f"{root / _FAILURES} is damaged; it can be removed") from None


def _store(root: Path) -> Store | None:
    path = root / "store.sqlite"
    return Store(path) if path.exists() else None


def _study(recipe: Recipe, finish: Finish, only: Callable[[RunConfig], bool], failures: Sequence[Failure]) -> Study:
    found = [_study_of(recipe, load_data(part), finish, only, failures) for part in recipe.datasets]
    runs, own_runs, tuned = (list(chain.from_iterable(lists)) for lists in zip(*found, strict=True))
    if not tuned and isinstance(recipe.learning_rate, LearningRate):
        reason = f"; the first failed with {failures[0][1]}" if failures else ""
        raise ValueError(f"the runs that choose the learning rate by {chooser(recipe).name} are not all done{reason}")
    return Study(runs, own_runs, tuned, list(failures))


def _study_of(
    recipe: Recipe,
    data: LoadedData,
    finish: Finish,
    only: Callable[[RunConfig], bool],
    failures: Sequence[Failure],
) -> tuple[list[Run], list[Run], list[list[Run]]]:
    """Of one data set: the runs of both tables, and those that chose the learning rates."""
    tuned: dict[str, list[Run]] = {}

    def learning_rate(loss: Part) -> float | None:
        rule = recipe.learning_rate
        if not isinstance(rule, LearningRate):
            return rule
        if loss.label not in tuned:  # once: what failed is tried again when it is asked for again
            tuned[loss.label] = _tune(recipe, data, loss, finish, failures)
        return choose_learning_rate(tuned[loss.label]) if tuned[loss.label] else None

    def runs(learning_rates: dict[str, float]) -> list[Run]:
        return finish([run for run in study_runs(recipe, data, learning_rates=learning_rates) if only(run)])

    if not _selected(only, recipe, data) or (shared := learning_rate(chooser(recipe))) is None:
        return [], [], []
    result = runs({loss.label: shared for loss in recipe.losses})
    own: list[Run] = []
    if isinstance(recipe.learning_rate, LearningRate) and recipe.learning_rate.each_loss:
        chosen = {loss.label: learning_rate(loss) for loss in recipe.losses}
        rates = {label: rate for label, rate in chosen.items() if rate is not None}
        own = runs(rates) if len(rates) == len(chosen) else []
    return result, own, [runs for runs in tuned.values() if runs]


def _tune(recipe: Recipe, data: LoadedData, loss: Part, finish: Finish, failures: Sequence[Failure]) -> list[Run]:
    """The runs that choose the learning rate of ``loss``, without candidates that failed; none while any is left."""
    wanted = tuning_runs(recipe, data, loss=loss)
    done = finish(wanted)
    ids = {run.run_id for run in wanted}
    failed = [config.learning_rate for config, _ in failures if config.run_id in ids]
    if len(done) + len(failed) < len(wanted):
        return []
    return [run for run in done if run.config.learning_rate not in failed]
