"""Reader for the human labels of CIFAR-N, torch-saved NumPy arrays; nothing in the file is executed."""

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from labelnoise.datasets._dataset import Dataset
from labelnoise.datasets._images import check_labels

_MAX_BYTES = 16 * 2**20  # the originals have 2.4 MB and less
_RATE_TOLERANCE = 0.001  # the paper rounds, and its 9.03 % of CIFAR-10N's aggregate labels are 9.01 % in the file
_CLEAN = "clean_label"

# What a torch-saved array of integers names, before and after NumPy renamed its core.
_NUMPY_NAMES: list[Any] = [
    (np.empty(0).__reduce__()[0], "numpy.core.multiarray._reconstruct"),
    (np.empty(0).__reduce__()[0], "numpy._core.multiarray._reconstruct"),
    np.ndarray,
    np.dtype,
    *(type(np.dtype(name)) for name in ("int64", "int32", "int16", "int8", "uint8")),
]


def with_human_labels(name: str, images: Dataset, path: Path, column: str) -> Dataset:
    """``images`` with the labels people gave them as the given ones; its own labels become the true ones."""
    clean, given = read_human_labels(path, (_CLEAN, column), classes=len(images.class_names))
    if not torch.equal(clean, images.true_labels):
        if len(clean) != len(images.true_labels):
            raise ValueError(f"{path} has {len(clean):,} labels for {len(images.true_labels):,} images")
        row = int((clean != images.true_labels).nonzero()[0])
        raise ValueError(
            f"{path} does not go with these images: its clean label in row {row} is {int(clean[row])}, "
            f"the image's is {int(images.true_labels[row])}"
        )
    return images._replace(name=name, train=images.train._replace(labels=given))


def read_human_labels(path: Path, columns: tuple[str, ...], *, classes: int) -> tuple[Int64[Tensor, "n"], ...]:
    """The ``columns`` of a CIFAR-N file, all of one length and within ``classes``; a ``ValueError`` if they are not."""
    content = _loaded(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, not the dict of a CIFAR-N file")
    labels: list[Tensor] = []
    for column in columns:
        array = content.get(column)
        if not isinstance(array, np.ndarray) or array.ndim != 1 or array.dtype.kind not in "iu":
            raise ValueError(f"{path}: {column} must be a one-dimensional array of integers")
        labels.append(torch.from_numpy(array.astype(np.int64)))
        if len(array) != len(labels[0]):
            raise ValueError(f"{path}: {column} has {len(array):,} labels, {columns[0]} has {len(labels[0]):,}")
        check_labels(path, labels[-1], count=len(labels[-1]), classes=classes)
    return tuple(labels)


def check_published_rates(path: Path, rates: Mapping[str, float], *, count: int, classes: int) -> None:
    """Raise a ``ValueError`` unless each column is wrong as often as was published."""
    clean, *given = read_human_labels(path, (_CLEAN, *rates), classes=classes)
    if len(clean) != count:
        raise ValueError(f"{path} has {len(clean):,} labels, expected {count:,}")
    for labels, (column, rate) in zip(given, rates.items(), strict=True):
        found = float((labels != clean).double().mean())
        if abs(found - rate) > _RATE_TOLERANCE:
            raise ValueError(f"{path}: {column} is wrong in {found:.2%}, published are {rate:.2%}")


def _loaded(path: Path) -> Any:
    try:
        size = path.stat().st_size
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:  # stored, not packed, by torch; anybody else may pack a bomb
                size = max(size, sum(member.file_size for member in archive.infolist()))
        if size > _MAX_BYTES:
            raise ValueError(f"{path} unpacks to {size:,} bytes, more than any CIFAR-N file")
    except (OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    try:
        with torch.serialization.safe_globals(_NUMPY_NAMES):
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from None
    except Exception as error:  # a damaged file can raise nearly anything
        # torch's message is long, and some of its advice is to trust the file: only what came is kept.
        found = re.search(r"(?:WeightsUnpickler error: |Trying to load )(.+)", str(error))
        reason = found[1] if found else str(error).partition("\n")[0] or type(error).__name__
        raise ValueError(f"{path} is not a CIFAR-N file, or it is damaged or hostile: {reason[:200]}") from None
