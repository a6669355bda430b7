"""Data sets, held in memory. To add one, write one file, one test file and its lines here."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labelnoise import _registry
from labelnoise._types import Texts
from labelnoise.datasets._dataset import Dataset
from labelnoise.datasets._source import ROOT_VARIABLE, Source, data_root
from labelnoise.datasets.cifar10 import SOURCE as _CIFAR10
from labelnoise.datasets.cifar10 import cifar10
from labelnoise.datasets.cifar10n import SOURCE as _CIFAR10N
from labelnoise.datasets.cifar10n import cifar10n
from labelnoise.datasets.cifar100 import SOURCE as _CIFAR100
from labelnoise.datasets.cifar100 import cifar100
from labelnoise.datasets.cifar100n import SOURCE as _CIFAR100N
from labelnoise.datasets.cifar100n import cifar100n
from labelnoise.datasets.clinc150 import SOURCE as _CLINC150
from labelnoise.datasets.clinc150 import clinc150
from labelnoise.datasets.digits import digits
from labelnoise.datasets.fashion_mnist import SOURCE as _FASHION_MNIST
from labelnoise.datasets.fashion_mnist import fashion_mnist
from labelnoise.datasets.text_csv import text_csv

__all__ = [
    "ROOT_VARIABLE",
    "Dataset",
    "Source",
    "Texts",
    "cifar10",
    "cifar10n",
    "cifar100",
    "cifar100n",
    "clinc150",
    "data_root",
    "digits",
    "fashion_mnist",
    "load",
    "names",
    "text_csv",
]

REGISTRY: dict[str, Callable[..., Dataset]] = {
    "cifar10": cifar10,
    "cifar100": cifar100,
    "cifar100n": cifar100n,
    "cifar10n": cifar10n,
    "clinc150": clinc150,
    "digits": digits,
    "fashion-mnist": fashion_mnist,
    "text-csv": text_csv,
}
SOURCES: dict[str, Source] = {
    "cifar10": _CIFAR10,
    "cifar100": _CIFAR100,
    "cifar100n": _CIFAR100N,
    "cifar10n": _CIFAR10N,
    "clinc150": _CLINC150,
    "fashion-mnist": _FASHION_MNIST,
}
"""Of the data sets whose files ``labelnoise data`` can find, verify and fetch."""


def names() -> list[str]:
    """The names ``load`` knows."""
    return sorted(REGISTRY)


def load(name: str, *, root: Path | str | None = None, **settings: Any) -> Dataset:
    """The data set registered under ``name``.

    Args:
        name: one of :func:`names`.
        root: folder all data sets lie in, by default the environment variable ``LABELNOISE_DATA``; ``digits``, which
            comes with scikit-learn, needs none.
        settings: what else the data set's own function takes.

    Raises:
        ValueError: an unknown name or setting, no root, or a file that is missing or broken.

    >>> load("digits").class_names[:3]
    ('0', '1', '2')
    """
    _registry.check_name("data set", name, REGISTRY)
    if "root" in inspect.signature(REGISTRY[name]).parameters:
        settings["root"] = data_root(root)
    return _registry.build("data set", REGISTRY, name, settings)
