"""Data sets as preloaded tensors. To add one, write one file, one test file and its lines here."""

from collections.abc import Callable

from labelnoise import _registry
from labelnoise.datasets._dataset import Dataset
from labelnoise.datasets.digits import digits

__all__ = ["Dataset", "digits", "load", "names"]

REGISTRY: dict[str, Callable[[], Dataset]] = {"digits": digits}


def names() -> list[str]:
    """The names ``load`` knows."""
    return sorted(REGISTRY)


def load(name: str) -> Dataset:
    """The data set registered under ``name``."""
    return _registry.build("data set", REGISTRY, name, {})
