"""Where the files of a data set lie, where they come from, and how to tell that they are the right ones."""

import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch

from labelnoise.datasets._dataset import Dataset

ROOT_VARIABLE = "LABELNOISE_DATA"
_CHUNK, _MAX_CHUNKS = 2**20, 256  # no file here is longer, and a gzip bomb is no reason to go on for days


class Download(NamedTuple):
    """One file to fetch."""

    url: str
    max_bytes: int
    """More than this is not read, whatever the server says."""
    md5: str | None = None
    """Of an archive; the other files are known by :attr:`Source.md5` or :attr:`Source.checks`."""
    members: tuple[str, ...] = ()
    """What to take out of an archive, by path; empty for a file that is kept as it is."""

    @property
    def name(self) -> str:
        """Of the downloaded file."""
        return self.url.rpartition("/")[2]


class Expected(NamedTuple):
    """What a complete data set holds; every class is equally frequent in all sets here, in training and in test."""

    train: int
    test: int
    classes: int
    shape: tuple[int, ...] | None = None
    """Of one image; None for texts."""


class Source(NamedTuple):
    """Everything ``labelnoise data`` knows of a data set that lies in files."""

    folder: str
    """Under the root."""
    locate: Callable[[Path], list[Path]]
    """root -> the files that would be read; a ``ValueError`` that says which are missing and where they belong."""
    expected: Expected
    downloads: tuple[Download, ...]
    md5: Mapping[str, str]
    """Official checksums by path under the folder. That of ``NAME`` also vouches for ``NAME.gz``, unpacked."""
    checks: Mapping[str, Callable[[Path], None]] = {}
    """What is checked in a file that has no official checksum: raises ``ValueError``."""
    needs: str | None = None
    """Another data set, whose files are read too."""


def data_root(root: Path | str | None = None) -> Path:
    """The folder all data sets lie in: ``root``, or else what the environment variable ``LABELNOISE_DATA`` says.

    >>> data_root("data").name
    'data'
    """
    chosen = root or os.environ.get(ROOT_VARIABLE)
    if not chosen:
        raise ValueError(f"no data folder: pass root (--data-dir on the command line) or set {ROOT_VARIABLE}")
    return Path(chosen)


def find(folder: Path, *names: str) -> Path | None:
    """The first of ``names`` that is a file in ``folder``."""
    return next((folder / name for name in names if (folder / name).is_file()), None)


def missing(name: str, folder: Path, files: str) -> ValueError:
    """The error for a data set that is not there."""
    return ValueError(f"{name} is not in {folder}: put {files} there, or run `labelnoise data fetch {name}`")


def verify_file(path: Path, relative: str, source: Source) -> str:
    """Say how sure it is that ``path`` is the official file ``relative``; a ``ValueError`` where it is not."""
    if expected := source.md5.get(relative):
        if (found := md5(path)) == expected:
            return "the official file"
        # Compressed anew, the same bytes give other ones: what counts is inside.
        inside = source.md5.get(relative.removesuffix(".gz"))
        if relative.endswith(".gz") and inside and _md5_inside(path) == inside:
            return "the official contents, compressed anew"
        raise ValueError(f"{path} is not the official file, or it is damaged: md5 {found}, expected {expected}")
    if check := source.checks.get(relative):
        check(path)
        return "contents as published (no official checksum)"
    return "no official checksum"


def md5(path: Path) -> str:
    """The checksum the authors published; it tells accidents, and little else."""
    try:
        with path.open("rb") as file:
            return _digest(file)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from None


def _md5_inside(path: Path) -> str | None:
    """The checksum of what a gzipped file holds, or None where it is damaged."""
    try:
        with gzip.open(path) as file:
            return _digest(file)
    except (EOFError, OSError, zlib.error):
        return None


def _digest(file: io.BufferedIOBase) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for _ in range(_MAX_CHUNKS):
        digest.update(file.read(_CHUNK))
    return digest.hexdigest()


def check_contents(data: Dataset, expected: Expected) -> None:
    """Raise a ``ValueError`` where counts, shapes or the frequencies of the clean labels are not as published."""
    for split, batch, labels, count in (
        ("training", data.train, data.true_labels, expected.train),
        ("test", data.test, data.test.labels, expected.test),
    ):
        if len(labels) != count:
            raise ValueError(f"{data.name} has {len(labels):,} {split} samples, expected {count:,}: files incomplete?")
        if expected.shape and batch.inputs.shape[1:] != expected.shape:
            shape = tuple(batch.inputs.shape[1:])
            raise ValueError(f"{data.name} has {split} images of shape {shape}, expected {expected.shape}")
        histogram = torch.bincount(labels, minlength=expected.classes).tolist()
        if set(histogram) != {count // expected.classes}:
            counts = f"between {min(histogram):,} and {max(histogram):,}"
            raise ValueError(
                f"{data.name} has {counts} {split} samples a class, expected {count // expected.classes:,} in each"
            )
