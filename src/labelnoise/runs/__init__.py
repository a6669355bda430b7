"""Runs on disk: identity, results and provenance."""

from labelnoise.runs.config import Part, RunConfig, problem_names, short_names
from labelnoise.runs.environment import environment, machine, package
from labelnoise.runs.fit_folder import FitFolder
from labelnoise.runs.folder import Belief, Run, RunFolder, Samples
from labelnoise.runs.store import Failure, RunState, Store

__all__ = [
    "Belief",
    "Failure",
    "FitFolder",
    "Part",
    "Run",
    "RunConfig",
    "RunFolder",
    "RunState",
    "Samples",
    "Store",
    "environment",
    "machine",
    "package",
    "problem_names",
    "short_names",
]
