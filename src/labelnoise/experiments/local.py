"""Runs on this machine: joblib workers of one thread each, which beat one process of as many threads."""

from collections.abc import Callable, Sequence
from pathlib import Path

import joblib
import torch

from labelnoise.experiments.run import execute
from labelnoise.runs import Run, RunConfig, RunFolder


def run_all(configs: Sequence[RunConfig], root: Path, *, workers: int, on_run: Callable[[], None]) -> None:
    """Finish every run under ``root``; ``on_run`` is told of each."""
    jobs = (joblib.delayed(_execute)(config, root) for config in configs)
    for _ in joblib.Parallel(n_jobs=workers, return_as="generator_unordered")(jobs):
        on_run()


def read_all(configs: Sequence[RunConfig], root: Path) -> list[Run]:
    """The finished runs, in the order of ``configs``."""
    return [RunFolder(root, config).read() for config in configs]


def _execute(config: RunConfig, root: Path) -> None:
    torch.set_num_threads(1)
    execute(config, root)
