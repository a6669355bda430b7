"""What an audit left in its folder: one row a label, the classes, and where the data lie; and tables beside them."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from labelnoise import _files
from labelnoise.datasets._own_rewrite import KINDS, OwnLabels
from labelnoise.datasets._table_parts import read_utf8
from labelnoise.fitting.cells import read_cells, whole_number

LABELS, SUMMARY, SOURCE = "labels.csv", "summary.json", "source.json"


class AuditedRow(NamedTuple):
    """What the audit says of one label."""

    id: str
    given: str
    suggested: str
    p_wrong: str
    """As it is written; only who draws by it needs the number."""


class AuditFolder(NamedTuple):
    """The parts that a review needs."""

    path: Path
    class_names: tuple[str, ...]
    rows: dict[int, AuditedRow]
    """By their index in the data."""


class Source(NamedTuple):
    """The data of an audit."""

    labels: OwnLabels
    sha256: str | None
    """Of the file that holds the labels; None for a folder."""


def check_undecided(folder: Path) -> None:
    """Raise a ``ValueError`` where somebody has typed decisions into ``labels.csv``, which would be lost."""
    labels = folder / LABELS
    if labels.exists() and any(cells["decision"].strip() for cells in read_cells(labels, "decision")):
        raise ValueError(f"{labels} has decisions in it; review them first and move it away, or give another folder")


def read_audit(folder: Path) -> AuditFolder:
    """The rows of ``labels.csv``, in any order, and the classes of ``summary.json``.

    Raises:
        ValueError: files that are missing or damaged, rows that are missing or twice there, a class that is none.
    """
    path, summary = folder / LABELS, read_json(folder / SUMMARY)
    names, expected = summary.get("class_names"), summary.get("num_samples")
    if not isinstance(names, list) or not isinstance(expected, int):
        raise ValueError(f"{folder / SUMMARY} must be the summary of an audit, with class_names and num_samples")
    class_names = tuple(map(str, names))
    known, rows = set(class_names), dict[int, AuditedRow]()
    for cells in read_cells(path, "index", "given_label", "suggested_label", "p_wrong"):
        index = whole_number(path, cells["index"])
        row = AuditedRow(cells.get("id", str(index)), cells["given_label"], cells["suggested_label"], cells["p_wrong"])
        if not {row.given, row.suggested} <= known:
            name = row.suggested if row.given in known else row.given
            raise ValueError(
                f"{path} must name classes of the audit, got {name!r} in row {index}: did a program edit it?"
            )
        if index in rows:
            raise ValueError(f"{path} must have each row once, got row {index} twice")
        rows[index] = row
    if len(rows) != expected:
        raise ValueError(f"{path} must have all {expected:,} rows of the audit, in any order, got {len(rows):,}")
    return AuditFolder(folder, class_names, rows)


def source_of(data: Path, *, labels: Path | None = None, column: str | None = None) -> dict[str, Any]:
    """What ``source.json`` holds of these data: for :func:`read_source`, later.

    Args:
        data: a table, a folder of images, an ``.npz``, or an ``.npy`` with ``labels`` in another.
        labels: an ``.npy`` file.
        column: the label column of a table.
    """
    kind = "folder" if data.is_dir() else data.suffix.lower().removeprefix(".")
    holds = labels or data
    return {
        "data": str(data.absolute()),
        "kind": kind if kind in KINDS else "table",
        "label": column,
        "labels": None if labels is None else str(labels.absolute()),
        "sha256": None if kind == "folder" else hashlib.sha256(holds.read_bytes()).hexdigest(),
    }


def read_source(folder: Path, data: Path | None) -> Source:
    """Where ``source.json`` says that the labels lie; ``data`` is where they lie now, if they have moved.

    Raises:
        ValueError: a file that is missing or damaged.
    """
    path = folder / SOURCE
    source = read_json(path)
    kind, column, sha256 = source.get("kind"), source.get("label"), source.get("sha256")
    place = source.get("labels" if kind == "npy" else "data")
    if kind not in KINDS or not isinstance(place, str) or isinstance(column, str) != (kind == "table"):
        raise ValueError(f"{path} must say where the data of the audit lie, got kind {kind!r}, label {column!r}")
    return Source(OwnLabels(data or Path(place), kind, column), sha256)


def is_unchanged(source: Source) -> bool:
    """Whether the data are there and, of a file, still the bytes that were audited."""
    path = source.labels.path
    if source.sha256 is None or not path.is_file():
        return path.exists()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == source.sha256


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; a ``ValueError`` if the file holds none."""
    try:
        value = json.loads(read_utf8(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path} must hold a JSON object")
    return value


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object, whole or not at all."""
    with _files.replacing(path) as file:
        file.write(json.dumps(value, indent=2).encode())
