"""Data sets as recipes and runs name them, loaded once a process."""

import functools
from typing import NamedTuple

from labelnoise import datasets
from labelnoise.datasets import Dataset
from labelnoise.runs import Part


class LoadedData(NamedTuple):
    """A data set, how a recipe names it, and the checksum that is part of a run's identity."""

    part: Part
    dataset: Dataset
    checksum: str


def load_data(part: Part) -> LoadedData:
    """The data set and its checksum, kept for the next run of this process."""
    return _load_data(part.model_dump_json())


@functools.lru_cache(maxsize=2)
def _load_data(part_json: str) -> LoadedData:
    part = Part.model_validate_json(part_json)
    data = datasets.load(part.name, **part.settings)
    return LoadedData(part, data, data.checksum)
