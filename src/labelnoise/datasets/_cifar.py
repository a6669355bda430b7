"""The two layouts CIFAR comes in: the original python batches, and the Parquet shards of the hub."""

import re
from pathlib import Path
from typing import NamedTuple

import torch

from labelnoise.datasets._cifar_batch import read_batch
from labelnoise.datasets._cifar_parquet import read_parquet
from labelnoise.datasets._dataset import Dataset
from labelnoise.datasets._images import Images, Labels, check_labels, image_set
from labelnoise.datasets._source import missing

_TRAIN, _TEST = 50_000, 10_000
_SHARD = re.compile(r"(train|test)-(\d{5})-of-(\d{5})\.parquet")


class Cifar(NamedTuple):
    """What tells CIFAR-10 from CIFAR-100."""

    name: str
    batches: str
    """The folder in the original archive."""
    train: tuple[str, ...]
    test: tuple[str, ...]
    batch_label: str
    """Of the labels, in a python batch."""
    parquet_label: str
    class_names: tuple[str, ...]

    def members(self) -> tuple[str, ...]:
        """The python batches that are read, as paths under the data set's folder."""
        return tuple(f"{self.batches}/{file}" for file in (*self.train, *self.test))


class CifarFiles(NamedTuple):
    """The files of one layout."""

    train: list[Path]
    test: list[Path]
    parquet: bool


def find_cifar(cifar: Cifar, root: Path) -> CifarFiles:
    """The files to read: the python batches, which are exactly what was published, or else the Parquet shards."""
    folder = root / cifar.name
    train, test = ([folder / cifar.batches / file for file in files] for files in (cifar.train, cifar.test))
    absent = [path.name for path in (*train, *test) if not path.is_file()]
    if not absent:
        return CifarFiles(train, test, parquet=False)
    shards = [_shards(folder, split) for split in ("train", "test")]
    if all(shards):
        return CifarFiles(*shards, parquet=True)
    wanted = f"{cifar.batches}/ with {', '.join(absent)} (or train-*-of-*.parquet and test-*-of-*.parquet, all shards)"
    raise missing(cifar.name, folder, wanted)


def load_cifar(cifar: Cifar, root: Path) -> Dataset:
    """Read the images and labels of all files, in their order."""
    files = find_cifar(cifar, root)
    train, test = (
        _read(cifar, paths, parquet=files.parquet, limit=limit)
        for paths, limit in ((files.train, _TRAIN), (files.test, _TEST))
    )
    return image_set(cifar.name, train, test, cifar.class_names)


def _shards(folder: Path, split: str) -> list[Path]:
    """All Parquet shards of a split in order, or none where one is missing."""
    found = sorted(path for path in folder.glob(f"{split}-*.parquet") if _SHARD.fullmatch(path.name))
    expected = [f"{split}-{shard:05}-of-{len(found):05}.parquet" for shard in range(len(found))]
    return found if [path.name for path in found] == expected else []


def _read(cifar: Cifar, paths: list[Path], *, parquet: bool, limit: int) -> tuple[Images, Labels]:
    classes = len(cifar.class_names)
    if parquet:
        return read_parquet(paths, label=cifar.parquet_label, classes=classes, limit=limit)
    batches = [read_batch(path, label=cifar.batch_label, limit=limit) for path in paths]
    for path, (images, labels) in zip(paths, batches, strict=True):
        check_labels(path, labels, count=len(images), classes=classes)
    images, labels = zip(*batches, strict=True)
    return torch.cat(images), torch.cat(labels)
