"""Runs on disk: identity, results and provenance."""

from labelnoise.runs.config import Part, RunConfig
from labelnoise.runs.environment import environment
from labelnoise.runs.folder import Run, RunFolder, Samples

__all__ = ["Part", "Run", "RunConfig", "RunFolder", "Samples", "environment"]
