"""Runs on disk: identity, results and provenance."""

from labelnoise.runs.config import Part, RunConfig
from labelnoise.runs.environment import environment
from labelnoise.runs.folder import Belief, Run, RunFolder, Samples
from labelnoise.runs.store import Counts, Store

__all__ = ["Belief", "Counts", "Part", "Run", "RunConfig", "RunFolder", "Samples", "Store", "environment"]
