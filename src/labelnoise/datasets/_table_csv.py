"""Label cells of CSV files: what each says, where it lies, and how another one is written."""

import re
from pathlib import Path

from labelnoise.datasets._table_parts import BOM, Cell, check_column, line_number, place

# As Python's csv module and pyarrow read them: quotes count where they open a cell, and what follows the closing one
# still belongs to it. Possessive throughout, so that no file makes the search slow.
_CELL = rb'(?>"[^"]*+(?:""[^"]*+)*+"[^,\r\n]*+|(?!")[^,\r\n]*+)'
_ROW_END = rb"(?:[\r\n]++|\Z)"  # with the empty lines after it, which are no rows
_NEXT_CELL = re.compile(rb"(%b)(,?)" % _CELL)
_ALL_BUT_THE_LAST = re.compile(rb"(?:%b[,\r\n])*+" % _CELL)
_HEADER = re.compile(rb"\s*+((?:%b,)*+%b)" % (_CELL, _CELL))
_IN_QUOTES = re.compile(rb'"[^"]*"')
_QUOTED = re.compile(r'"((?:[^"]|"")*+)"(.*)', re.DOTALL)
_NEEDS_QUOTES = re.compile(r'[",\r\n]')


def check_csv(path: Path, data: bytes) -> None:
    """Raise a ``ValueError`` where a quote is never closed, and what follows it would be one cell, or where the header
    has other marks between its cells, and no comma.
    """
    text = data.removeprefix(BOM)
    last = _ALL_BUT_THE_LAST.sub(b"", text, count=1)
    if not _NEXT_CELL.fullmatch(last):
        line = line_number(text, len(text) - len(last))
        raise ValueError(f"{path} has a quote in line {line} that is never closed")
    header = next(_HEADER.finditer(text))[1].rstrip()
    between = _IN_QUOTES.sub(b"", header)
    if b"," not in between and any(mark in between for mark in (b";", b"\t")):
        got = header.decode()[:100]
        raise ValueError(f"{path} must have commas between its cells, got {got!r}: save it as plain CSV")


def csv_cells(path: Path, data: bytes, column: str) -> list[Cell]:
    """The cells under ``column``, one a row after the header; a ``ValueError`` names the row that lacks one."""
    check_csv(path, data)
    start = _skip_empty_lines(data, len(data) - len(data.removeprefix(BOM)))
    header = _split(data, start)
    names = [_text(cell) for cell in header]
    check_column(path, column, names)
    before = names.index(column)
    after = len(names) - before - 1
    row = re.compile(rb"(?:%b,){%d}(%b)(?:,%b){%d}%b" % (_CELL, before, _CELL, _CELL, after, _ROW_END))
    start = _skip_empty_lines(data, start + len(b",".join(header)))
    cells: list[Cell] = []
    while start < len(data):
        match = row.match(data, start)
        if match is None:
            got = f"{len(_split(data, start))} cells in {place(data, start, len(cells))}"
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


def _split(data: bytes, start: int) -> list[bytes]:
    """The cells, as they are written, of the row that begins at ``start``."""
    cells: list[bytes] = []
    for match in _NEXT_CELL.finditer(data, start):
        cells.append(match[1])
        if not match[2]:
            break
    return cells


def _text(cell: bytes) -> str:
    quoted = _QUOTED.fullmatch(text := cell.decode())
    return quoted[1].replace('""', '"') + quoted[2] if quoted else text
