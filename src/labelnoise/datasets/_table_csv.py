"""Label cells of CSV files: what each says, where it lies, and how another one is written."""

import re
from pathlib import Path

from labelnoise.datasets._table_parts import BOM, Cell, check_column, check_commas, line_number, place

# As Python's csv module and pyarrow read them: quotes count where they open a cell, and what follows the closing one
# still belongs to it. Possessive throughout, so that no file makes the search slow.
_CELL = rb'(?>"[^"]*+(?:""[^"]*+)*+"[^,\r\n]*+|(?!")[^,\r\n]*+)'
_ROW_END = rb"(?:[\r\n]++|\Z)"  # with the empty lines after it, which are no rows
_NEXT_CELL = re.compile(rb"(%b)(,?)" % _CELL)
_QUOTED = re.compile(r'"((?:[^"]|"")*+)"(.*)', re.DOTALL)
_NEEDS_QUOTES = re.compile(r'[",\r\n]')


def csv_cells(path: Path, data: bytes, column: str) -> list[Cell]:
    """The cells under ``column``, one a row after the header; a ``ValueError`` names the row that lacks one."""
    start = _skip_empty_lines(data, len(data) - len(data.removeprefix(BOM)))
    header = _split(path, data, start)
    names = [_text(cell) for cell in header]
    check_commas(path, data)
    check_column(path, column, names)
    before = names.index(column)
    after = len(names) - before - 1
    row = re.compile(rb"(?:%b,){%d}(%b)(?:,%b){%d}%b" % (_CELL, before, _CELL, _CELL, after, _ROW_END))
    start = _skip_empty_lines(data, start + len(b",".join(header)))
    cells: list[Cell] = []
    while start < len(data):
        match = row.match(data, start)
        if match is None:
            got = f"{len(_split(path, data, start))} cells in {place(data, start, len(cells))}"
            raise ValueError(f"{path} must have {len(header)} cells in every row, as in its header, got {got}")
        label = _text(match[1])
        if not label.strip():
            raise ValueError(f"{path} has no {column} in {place(data, start, len(cells))}")
        cells.append(Cell(*match.span(1), label))
        start = match.end()
    return cells


def csv_cell(label: str, *, old: bytes = b"") -> bytes:
    """A cell that says ``label``, in quotes where it needs them or the ``old`` one had them.

    >>> csv_cell("good"), csv_cell("good", old=b'"bad"'), csv_cell('"good", once')
    (b'good', b'"good"', b'\"""good"", once"')
    """
    if old.startswith(b'"') or _NEEDS_QUOTES.search(label):
        return b'"' + label.encode().replace(b'"', b'""') + b'"'
    return label.encode()


def _skip_empty_lines(data: bytes, start: int) -> int:
    return len(data) - len(data[start:].lstrip(b"\r\n"))


def _split(path: Path, data: bytes, start: int) -> list[bytes]:
    """The cells, as they are written, of the row that begins at ``start``."""
    cells: list[bytes] = []
    while match := _NEXT_CELL.match(data, start):
        cells.append(match[1])
        start = match.end()
        if not match[2]:
            return cells
    raise ValueError(f"{path} has a quote in line {line_number(data, start)} that is never closed")


def _text(cell: bytes) -> str:
    quoted = _QUOTED.fullmatch(text := cell.decode())
    return quoted[1].replace('""', '"') + quoted[2] if quoted else text
