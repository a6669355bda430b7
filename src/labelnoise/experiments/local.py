"""Runs on this machine: worker processes of one thread each, which beat one process of as many threads."""

import os
import time
from collections.abc import Callable, Container, Sequence
from pathlib import Path

import joblib
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError

from labelnoise.experiments.run import execute
from labelnoise.experiments.stack import execute_stack
from labelnoise.runs import Failure, Run, RunConfig, RunFolder, RunState, Store
from labelnoise.training import polling, working_for

_POLL_SECONDS = 1


def run_all(
    configs: Sequence[RunConfig],
    root: Path,
    *,
    workers: int,
    on_progress: Callable[[Sequence[RunState]], None],
    device: str = "cpu",
) -> list[Failure]:
    """Finish every run under ``root`` that can be finished; returns those that cannot.

    Each worker claims one run, or one stack of them, after the other from the store, so any number of drivers on one
    folder share the work, and what a killed one left behind is done by the next. ``on_progress`` is told every run's
    state, from a thread.

    Raises:
        ChildProcessError: a worker was killed, by somebody or for want of memory.
    """
    root.mkdir(parents=True, exist_ok=True)
    store = Store(root / "store.sqlite")
    finished = [config for config in configs if RunFolder(root / "runs", config).is_finished]
    store.add(configs, finished=finished)
    wanted = {config.run_id for config in configs}  # others may be left from a run that was cut off
    workers = min(workers, len(configs) - len(finished))  # a process takes seconds to start
    try:
        with polling(lambda: on_progress(store.states())):
            work = [joblib.delayed(_work)(root, os.getpid(), device, workers, wanted) for _ in range(workers)]
            joblib.Parallel(n_jobs=max(1, workers))(work)
            while not _is_over(wanted, store):  # another driver has some of the runs, and may be killed over them
                time.sleep(_POLL_SECONDS)
                _work(root, os.getpid(), device, workers, wanted)
    except TerminatedWorkerError:
        raise ChildProcessError("a worker process was killed; the same command goes on from its checkpoint") from None
    return [(config, error) for config, error in store.failures() if config.run_id in wanted]


def _is_over(wanted: Container[str], store: Store) -> bool:
    return all(state in ("done", "failed") for config, state in store.states() if config.run_id in wanted)


def stop_workers() -> None:
    """End the processes that wait for more to do."""
    get_reusable_executor().shutdown(wait=True)


def read_all(configs: Sequence[RunConfig], root: Path) -> list[Run]:
    """Those of the runs that are finished, in the order of ``configs``."""
    folders = [RunFolder(root / "runs", config) for config in configs]
    return [folder.read() for folder in folders if folder.is_finished]


def _work(root: Path, driver: int, device: str, workers: int, wanted: Container[str] | None = None) -> None:
    store = Store(root / "store.sqlite")
    with store.heartbeat(), working_for(driver):
        while configs := store.claim(workers, wanted=wanted):
            for config, error in zip(configs, _attempt(configs, root / "runs", device), strict=True):
                store.finish(config, error=None if error is None else f"{type(error).__name__}: {error}")


def _attempt(configs: Sequence[RunConfig], root: Path, device: str) -> list[Exception | None]:
    """What became of each: whatever the error of one is, the other runs go on."""
    try:
        if len(configs) > 1:
            errors = execute_stack(configs, root, device=device)
            return [errors.get(config.run_id) for config in configs]
        execute(configs[0], root, device=device)
    except Exception as error:
        if len(configs) == 1:
            return [error]
        return [outcome for config in configs for outcome in _attempt([config], root, device)]
    return [None]
