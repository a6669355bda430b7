"""A table of the user's own, CSV, JSON Lines or Parquet: read whole, its labels as text, copied with other labels."""

import contextlib
from collections.abc import Collection, Generator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.csv
import pyarrow.json

from labelnoise import _files
from labelnoise.datasets._table_csv import check_csv, csv_cell, csv_cells
from labelnoise.datasets._table_jsonl import json_cells, json_line, json_texts, one_kind_a_column
from labelnoise.datasets._table_parquet import parquet_labels, parquet_table, rewrite_parquet
from labelnoise.datasets._table_parts import Cell, read_utf8, spliced

_FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
_ROWS_A_CLASS = 5
_MAX_BLOCK = 2**31 - 1  # pyarrow counts in 32 bits


class Labels(NamedTuple):
    """A label column, one label a row."""

    labels: list[str]
    """As the file writes them: ``1``, ``01`` and ``1.0`` are three classes."""
    class_names: tuple[str, ...]
    """In the order of their names."""


def read_table(path: Path, *, texts: Collection[str] = ()) -> pa.Table:
    """All columns of a file, their types as pyarrow infers them; row i is the one :func:`read_labels` calls i.

    The columns ``texts`` of CSV and JSON Lines are read as they are written, and no column of CSV becomes truth values:
    what ``True``, ``012`` or ``2020-01-01`` is must not depend on the other rows. A column of JSON Lines that has both
    numbers and texts, or other kinds side by side, is text.

    Raises:
        ValueError: another suffix, or a file that is missing, empty, damaged or not UTF-8.
    """
    kind = _format(path)
    if kind == "parquet":
        return parquet_table(path)
    return (read_csv if kind == "csv" else _read_jsonl)(path, texts=texts)


def read_csv(path: Path, *, texts: Collection[str]) -> pa.Table:
    """What :func:`read_table` does with a CSV file, whatever its suffix."""
    data = read_utf8(path)
    check_csv(path, data)
    with _reading(path):
        return pyarrow.csv.read_csv(
            pa.BufferReader(data),
            # One thread: only then do errors name the row.
            read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=_block(data)),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(texts, pa.string()), true_values=[], false_values=[]
            ),
        )


def _read_jsonl(path: Path, *, texts: Collection[str]) -> pa.Table:
    data = read_utf8(path)
    options = pyarrow.json.ReadOptions(use_threads=False, block_size=_block(data))
    try:
        table = pyarrow.json.read_json(pa.BufferReader(data), read_options=options)
    except pa.ArrowException:  # also where a column has values of several kinds
        with _reading(path):
            table = pyarrow.json.read_json(pa.BufferReader(one_kind_a_column(path, data)), read_options=options)
    for name, cells in json_texts(path, data, [name for name in texts if name in table.column_names]).items():
        table = table.set_column(table.column_names.index(name), name, pa.array(cells, pa.string()))
    return table


def _block(data: bytes) -> int:
    """Of the whole file, so that no row is too long for it and each column is inferred from all its rows."""
    return min(max(len(data), 2**20), _MAX_BLOCK)


@contextlib.contextmanager
def _reading(path: Path) -> Generator[None]:
    try:
        yield
    except pa.ArrowException as error:
        raise ValueError(f"{path} cannot be read: {' '.join(str(error).split())[:200]}") from None


def read_rows(path: Path, rows: Sequence[int]) -> dict[str, list[str]]:
    """What the columns of a file say in some rows, as text, for people; without columns of what is no text.

    Raises:
        ValueError: as of :func:`read_table`.
    """
    table = read_table(path, texts=read_table(path).column_names).take(pa.array(rows))
    columns: dict[str, list[str]] = {}
    for name, values in zip(table.column_names, table.columns, strict=True):
        with contextlib.suppress(pa.ArrowException):
            columns[name] = values.cast(pa.large_string()).fill_null("").to_pylist()
    return columns


def read_labels(path: Path, column: str, *, few: bool = False) -> Labels:
    """The labels in ``column`` as text, and the classes they name; ``few`` are not held to be enough for training.

    Raises:
        ValueError: another suffix; a file that is missing, empty, damaged or not UTF-8; no such column; a row without
            a label; one class only, or more classes than a fifth of the rows, as a column of texts or figures has.

    Example: ``read_labels(Path("reviews.csv"), "stars").class_names`` is ``("1", "2", "3", "4", "5")``.
    """
    is_parquet = _format(path) == "parquet"
    labels = parquet_labels(path, column) if is_parquet else _texts(_cells(path, read_utf8(path), column))
    return named_classes(path, column, labels, few=few)


def named_classes(path: Path, column: str, labels: list[str], *, few: bool = False) -> Labels:
    """The classes that the labels of a file name; a ``ValueError`` if these are too few, or too many for labels."""
    if not labels:
        raise ValueError(f"{path} holds no rows")
    class_names = tuple(sorted(set(labels)))
    if len(class_names) < 2 and not few:
        raise ValueError(f"{path} must have at least two classes in {column}, got {labels[0][:100]!r} in every row")
    if len(class_names) * _ROWS_A_CLASS > len(labels) and not few:
        most = f"a fifth as many values in {column} as it has rows, {len(labels):,}"
        raise ValueError(f"{path} must have at most {most}, got {len(class_names):,}: not a label column?")
    return Labels(labels, class_names)


def rewrite_labels(source: Path, target: Path, column: str, labels: Mapping[int, str]) -> None:
    """Copy ``source`` to ``target``, with other labels in the rows that ``labels`` names by their index, from 0.

    Of CSV and JSON Lines every other byte stays: quotes, line ends, a byte order mark. A CSV cell is quoted where it
    was or must be; a JSON number stays one if the new label is one. Parquet keeps its columns with their types, row
    groups and compression. A label that is there already is not written again. ``target`` is whole or absent, and may
    be ``source``.

    Raises:
        ValueError: what :func:`read_labels` refuses in a file; a row that is not there, an empty label, or one that
            the type of a Parquet column cannot hold.

    Example: ``rewrite_labels(Path("reviews.csv"), Path("fixed.csv"), "stars", {17: "5"})``.
    """
    kind = _format(source)
    if kind == "parquet":
        changed = _changed(labels, parquet_labels(source, column))
        with _files.replacing(target) as file:
            rewrite_parquet(source, file, column, changed)
        return
    data = read_utf8(source)
    cells, ascii_only = _cells(source, data, column), data.isascii()
    replacements: dict[int, bytes] = {}
    for row, label in _changed(labels, _texts(cells)).items():
        old = data[cells[row].start : cells[row].end]
        is_csv = kind == "csv"
        replacements[row] = csv_cell(label, old=old) if is_csv else json_line(old, column, label, ascii_only=ascii_only)
    with _files.replacing(target) as file:
        file.write(spliced(data, cells, replacements))


def _format(path: Path) -> str:
    if path.suffix.lower() not in _FORMATS:
        raise ValueError(f"a table must be a file in {', '.join(_FORMATS)}, got {path}")
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    return _FORMATS[path.suffix.lower()]


def _cells(path: Path, data: bytes, column: str) -> list[Cell]:
    return (csv_cells if _format(path) == "csv" else json_cells)(path, data, column)


def _texts(cells: list[Cell]) -> list[str]:
    return [cell.label for cell in cells]


def _changed(labels: Mapping[int, str], given: list[str]) -> dict[int, str]:
    """Those of ``labels`` that are not there already."""
    for row, label in labels.items():
        if not 0 <= row < len(given):
            raise ValueError(f"labels must be of rows within [0, {len(given)}), got row {row}")
        if not label.strip():
            raise ValueError(f"labels must not be empty, got {label!r} for row {row}")
    return {row: label for row, label in labels.items() if label != given[row]}
