"""What the table formats share: how a column and a row are named, and text whose cells are replaced among the bytes."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from labelnoise import _registry

BOM = b"\xef\xbb\xbf"


class Cell(NamedTuple):
    """The label of one row, and the bytes that are written anew when it changes: a CSV cell, or a whole JSON line."""

    start: int
    end: int
    label: str


def check_column(path: Path, column: str, names: list[str]) -> None:
    """Raise a ``ValueError`` unless exactly one of the file's columns has this name."""
    _registry.check_name(f"column of {path}", column, names)
    if names.count(column) > 1:
        raise ValueError(f"{path} must have one column {column!r}, got {names.count(column)}")


def read_utf8(path: Path) -> bytes:
    """What is in a file; a ``ValueError`` if that is nothing, or not UTF-8."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from None
    if not data.removeprefix(BOM).strip():
        raise ValueError(f"{path} is empty")
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = line_number(data, error.start)
        raise ValueError(f"{path} must be UTF-8 text, got the byte 0x{data[error.start]:02x} in line {line}") from None
    return data


def line_number(data: bytes, position: int) -> int:
    """The line of a position as an editor counts it, from 1."""
    return len(data[: position + 1].splitlines())


def place(data: bytes, start: int, row: int) -> str:
    """How a message names a row: by its line, which an editor finds, and by its index, which joins go by.

    >>> place(b"text,label\\none,a\\n", 11, 0)
    'line 2 (row 0, counted from 0)'
    """
    return f"line {line_number(data, start)} (row {row}, counted from 0)"


def spliced(data: bytes, cells: list[Cell], replacements: Mapping[int, bytes]) -> bytes:
    """``data`` with other bytes for the cells of some rows, and every byte between them as it is.

    >>> spliced(b"a,b", [Cell(0, 1, "a"), Cell(2, 3, "b")], {1: b"cc"})
    b'a,cc'
    """
    pieces: list[bytes] = []
    done = 0
    for row, replacement in sorted(replacements.items()):
        pieces += (data[done : cells[row].start], replacement)
        done = cells[row].end
    return b"".join((*pieces, data[done:]))
