"""The user's own data copied with other labels, in the format it came in: what a table, arrays and a folder share."""

import os
import shutil
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from labelnoise import _files, _registry
from labelnoise.datasets._own_arrays import read_array, reading
from labelnoise.datasets._own_folder import images_by_class
from labelnoise.datasets._table_file import read_labels, rewrite_labels

_LABELS = "labels.npy"  # the member of an .npz that holds the array `labels`
_CHUNK = 2**20  # bytes
KINDS = ("table", "folder", "npz", "npy")


class OwnLabels(NamedTuple):
    """Where labels lie: in the column of a table, in the names of subfolders, or in an array."""

    path: Path
    """The table, the folder, the ``.npz``, or of ``npy`` the file of labels."""
    kind: str
    """One of :data:`KINDS`."""
    column: str | None = None
    """Of a table."""


def own_labels(place: OwnLabels) -> tuple[list[str], tuple[str, ...] | None]:
    """The labels as text, and for a folder the path of each image from it.

    Raises:
        ValueError: data that are missing, damaged or hold no labels.
    """
    if place.kind == "folder":
        images, labels = images_by_class(place.path)
        return list(labels), images.ids
    if place.column is not None:
        return read_labels(place.path, place.column).labels, None
    return _texts(_label_array(place)), None


def rewrite_own(place: OwnLabels, target: Path, labels: Mapping[int, str]) -> None:
    """Copy the data to ``target`` with other labels in some rows, which are named by their index, from 0.

    A table is copied by :func:`rewrite_labels`. Of an ``.npz`` all other arrays stay as they are, and labels keep their
    type, but for the length of texts. Images of a folder are copied into the subfolders of their labels; one whose name
    is taken there, as where each class counts from 0, into a subfolder of that named by its old label. ``target`` is
    replaced; it is whole or absent.

    Raises:
        ValueError: a label that the array's type cannot hold, or that is no subfolder; two images that would get one
            name; a folder that would be replaced and holds more than images of these names, or lies within the data.

    Example: ``rewrite_own(OwnLabels(Path("pets"), "folder"), Path("cleaned"), {17: "cat"})``.
    """
    if place.kind == "folder":
        _rewrite_folder(place.path, target, labels)
    elif place.column is not None:
        rewrite_labels(place.path, target, place.column, labels)
    else:
        array = _relabelled(place.path, _label_array(place), labels)
        with _files.replacing(target) as file:
            if place.kind == "npy":
                np.lib.format.write_array(file, array, allow_pickle=False)
            else:
                _rewrite_npz(place.path, file, array)


def _label_array(place: OwnLabels) -> Any:
    with reading(place.path):
        if place.kind == "npy":
            with place.path.open("rb") as file:
                array = read_array(file)
        else:
            with zipfile.ZipFile(place.path) as archive, archive.open(_LABELS) as file:
                array = read_array(file)
    if array.ndim != 1 or array.dtype.kind not in "iuU":
        raise ValueError(f"{place.path} must hold labels as integers or text (n), got {array.dtype} {array.shape}")
    return array


def _texts(array: Any) -> list[str]:
    return [str(label) for label in array]


def _relabelled(path: Path, array: Any, labels: Mapping[int, str]) -> Any:
    if array.dtype.kind == "U":
        array = array.astype(f"U{max(map(len, [*labels.values(), *array.tolist()]))}")
        for row, label in labels.items():
            array[row] = label
        return array
    array = array.copy()
    for row, label in labels.items():
        try:
            array[row] = int(label)
        except (ValueError, OverflowError):
            raise ValueError(f"label of {path} must be a whole number of {array.dtype}, got {label!r}") from None
    return array


def _rewrite_npz(path: Path, file: BinaryIO, labels: Any) -> None:
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(file, "w") as new:
        for member in old.infolist():
            copied = zipfile.ZipInfo(member.filename, member.date_time)
            copied.compress_type = member.compress_type
            with new.open(copied, "w", force_zip64=True) as out:
                if member.filename == _LABELS:
                    np.lib.format.write_array(out, labels, allow_pickle=False)
                else:
                    out.writelines(_chunks(path, old, member))


def _chunks(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """The contents of a member; a ``ValueError`` if it is damaged, which an error in writing is not."""
    with reading(path):
        file = archive.open(member)
    with file:
        while True:
            with reading(path):
                chunk = file.read(_CHUNK)
            if not chunk:
                return
            yield chunk


def _rewrite_folder(folder: Path, target: Path, labels: Mapping[int, str]) -> None:
    images, given = images_by_class(folder)
    target = target.resolve()  # of a link, what it leads to
    if target.is_relative_to(folder.resolve()):
        raise ValueError(f"out must lie outside of the data {folder}, got {target}")
    for label in set(labels.values()):
        _registry.check_name(f"subfolder of {folder}", label, set(given))
    names = [name.partition("/")[2] for name in images.ids]
    moved = {row: label for row, label in labels.items() if label != given[row]}
    sources = {name: row for row, name in enumerate(images.ids) if row not in moved}
    for row, label in moved.items():
        place = f"{label}/{names[row]}"
        if place in sources:  # as where each class numbers its images from 0
            place = f"{label}/{given[row]}/{names[row]}"
        if place in sources:
            both = f"{images.ids[sources[place]]} and {images.ids[row]}"
            raise ValueError(f"{folder} must have different names for images of one class, got {both} for {place}")
        sources[place] = row
    _check_replaceable(target, set(names) | set(images.ids))

    beside = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        for place, row in sources.items():
            (beside / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(images.paths[row], beside / place)
        for place in sources:  # after all are written, when most have reached the disk already
            with (beside / place).open("rb+") as file:
                os.fsync(file.fileno())
        if target.exists():
            before = beside.with_name(f"{beside.name}.before")
            target.rename(before)
            beside.rename(target)
            shutil.rmtree(before)
        else:
            beside.rename(target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _check_replaceable(target: Path, names: set[str]) -> None:
    """Raise a ``ValueError`` if a folder holds a file, not counting hidden ones, that no copy of the data would."""
    for path in target.rglob("*"):
        _, _, name = path.relative_to(target).as_posix().partition("/")
        if path.is_file() and not path.name.startswith(".") and name not in names:
            raise ValueError(f"out must hold nothing but an earlier copy of the data, got also {path}")
