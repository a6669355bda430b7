"""Runs on this machine: worker processes of one thread each, which beat one process of as many threads."""

import contextlib
import ctypes
import os
import threading
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import joblib
import torch
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError

from labelnoise.experiments.run import execute
from labelnoise.runs import Run, RunConfig, RunFolder, RunState, Store

_POLL_SECONDS = 0.5
_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # glibc's malloc.h


def run_all(
    configs: Sequence[RunConfig],
    root: Path,
    *,
    workers: int,
    on_progress: Callable[[Sequence[RunState]], None],
    device: str = "cpu",
) -> dict[str, str]:
    """Finish every run under ``root`` that can be finished; returns the errors of those that cannot, by run id.

    Each worker claims one run after the other from the store, so any number of drivers on one folder share the work,
    and what a killed one left behind is done by the next. ``on_progress`` is told every run's state, from a thread.

    Raises:
        ChildProcessError: a worker was killed, by somebody or for want of memory.
    """
    root.mkdir(parents=True, exist_ok=True)
    store = Store(root / "store.sqlite")
    store.add(configs, finished=[config for config in configs if RunFolder(root / "runs", config).is_finished])
    try:
        with _polling(lambda: on_progress(store.states())):
            joblib.Parallel(n_jobs=workers)(joblib.delayed(_work)(root, os.getpid(), device) for _ in range(workers))
    except TerminatedWorkerError:
        raise ChildProcessError("a worker process was killed; the same command goes on from its checkpoint") from None
    failures = store.failures()
    return {config.run_id: failures[config.run_id] for config in configs if config.run_id in failures}


def stop_workers() -> None:
    """End the processes that wait for more to do."""
    get_reusable_executor().shutdown(wait=True)


def read_all(configs: Sequence[RunConfig], root: Path) -> list[Run]:
    """Those of the runs that are finished, in the order of ``configs``."""
    folders = [RunFolder(root / "runs", config) for config in configs]
    return [folder.read() for folder in folders if folder.is_finished]


def _work(root: Path, driver: int, device: str) -> None:
    torch.set_num_threads(1)
    _keep_freed_memory()
    store = Store(root / "store.sqlite")
    with store.heartbeat(), _polling(lambda: _die_with(driver)):
        while (config := store.claim()) is not None:
            try:
                execute(config, root / "runs", device=device)
            except Exception as error:  # whatever it is, the other runs go on
                store.finish(config, error=f"{type(error).__name__}: {error}")
            else:
                store.finish(config)


def _keep_freed_memory() -> None:
    """Let tensors reuse the pages of freed ones, which glibc else gives back: a ResNet's step takes 7 % less time."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, 2**25)  # the largest it takes
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)


def _die_with(driver: int) -> None:
    if os.getpid() != driver and os.getppid() != driver:
        os._exit(1)  # nobody waits for this process any more; its checkpoint is on disk


@contextlib.contextmanager
def _polling(action: Callable[[], None]) -> Generator[None]:
    """Do ``action`` twice a second while the block runs, and once at its end."""
    stop = threading.Event()

    def poll() -> None:
        while not stop.wait(_POLL_SECONDS):
            action()

    thread = threading.Thread(target=poll, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        action()
