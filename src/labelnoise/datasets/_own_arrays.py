"""NumPy arrays of the user's own, in ``.npz`` or ``.npy`` files: features or images, and their labels."""

import contextlib
import zipfile
from collections.abc import Generator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from labelnoise.datasets._table_file import named_classes

_CHANNELS = (1, 3)


class Arrays(NamedTuple):
    """Inputs and labels, one a row."""

    inputs: Tensor
    """Features float32 (n, d), or images uint8 (n, c, h, w)."""
    labels: tuple[str, ...] | None


def read_npz(path: Path, *, labelled: bool, few: bool = False) -> Arrays:
    """``features`` (n, d) or ``images`` uint8 (n, h, w), (n, h, w, c) or (n, c, h, w), and ``labels`` (n).

    Raises:
        ValueError: no ``.npz`` file, or a damaged one, or with Python objects in it, which are never loaded; not
            exactly one of ``features`` and ``images``; arrays of another shape or type; a number that is not finite; no
            label in a row, one class only, or more classes than a fifth of the rows.
    """
    with reading(path), zipfile.ZipFile(path) as archive:
        held = [name.removesuffix(".npy") for name in archive.namelist()]
        arrays: dict[str, Any] = {}
        for name in ("features", "images", *(["labels"] if labelled else [])):
            if name in held:
                with archive.open(f"{name}.npy") as file:
                    arrays[name] = read_array(file)
    if ("features" in arrays) == ("images" in arrays):
        raise ValueError(f"{path} must hold either features or images, got {', '.join(held)[:200] or 'nothing'}")
    if labelled and "labels" not in arrays:
        raise ValueError(f"{path} must hold labels, got {', '.join(held)[:200]}")
    inputs = _features(path, arrays["features"]) if "features" in arrays else _images(path, arrays["images"])
    return Arrays(inputs, _labels(path, arrays["labels"], count=len(inputs), few=few) if labelled else None)


def read_npy(path: Path, labels: Path | None, *, labelled: bool, few: bool = False) -> Arrays:
    """Features (n, d) in one ``.npy`` file, and their labels (n) in another.

    Raises:
        ValueError: no labels, or what :func:`read_npz` refuses.
    """
    if labelled and labels is None:
        raise ValueError(f"labels must be an .npy file with the labels of {path}, got none")
    features = _features(path, read_array_file(path))
    if not labelled or labels is None:
        return Arrays(features, None)
    return Arrays(features, _labels(labels, read_array_file(labels), count=len(features), few=few))


def read_array_file(path: Path) -> Any:
    """The array in an ``.npy`` file, of any shape and type but Python objects; a ``ValueError`` if there is none."""
    with reading(path), path.open("rb") as file:
        return read_array(file)


def read_array(file: Any) -> Any:
    return np.lib.format.read_array(file, allow_pickle=False)  # data that the header claims and the file lacks: error


@contextlib.contextmanager
def reading(path: Path) -> Generator[None]:
    try:
        yield
    except Exception as error:  # a damaged file can raise nearly anything
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())[:200] or type(error).__name__
        if "Object arrays" in reason:
            reason = "it holds Python objects, which are never loaded"
        raise ValueError(f"{path} cannot be read: {reason}") from None


def _features(path: Path, array: Any) -> Tensor:
    if array.ndim != 2 or array.dtype.kind not in "fiub" or not array.size:
        raise ValueError(f"{path} must hold features as numbers (n, d), got {array.dtype} {array.shape}")
    with np.errstate(over="ignore"):
        features = array.astype(np.float32)
    finite = np.isfinite(features).all(axis=1)
    if not finite.all():
        row = int(finite.argmin())
        raise ValueError(f"{path} must hold finite float32 features, got another in row {row}, counted from 0")
    return torch.from_numpy(np.ascontiguousarray(features))


def _images(path: Path, array: Any) -> Tensor:
    shape = array.shape
    if array.ndim == 3:
        array = array[:, None]
    elif array.ndim == 4 and shape[-1] in _CHANNELS:
        array = array.transpose(0, 3, 1, 2)
    if array.ndim != 4 or array.shape[1] not in _CHANNELS or array.dtype != np.uint8 or not array.size:
        allowed = "uint8 (n, h, w), (n, h, w, c) or (n, c, h, w) with c 1 or 3"
        raise ValueError(f"{path} must hold images as {allowed}, got {array.dtype} {shape}")
    return torch.from_numpy(np.ascontiguousarray(array))


def _labels(path: Path, array: Any, *, count: int, few: bool) -> tuple[str, ...]:
    if array.ndim != 1 or array.dtype.kind not in "iuU":
        raise ValueError(f"{path} must hold labels as integers or text (n), got {array.dtype} {array.shape}")
    if len(array) != count:
        raise ValueError(f"{path} must hold a label for each of {count:,} rows, got {len(array):,}")
    try:
        labels = [str(label) for label in array]
        "".join(labels).encode()
    except (SystemError, UnicodeEncodeError):  # four bytes of an array need not be a letter
        raise ValueError(f"{path} must hold labels in Unicode, got other bytes") from None
    missing = next((row for row, label in enumerate(labels) if not label.strip()), None)
    if missing is not None:
        raise ValueError(f"{path} has no label in row {missing}, counted from 0")
    return tuple(named_classes(path, "labels", labels, few=few).labels)
