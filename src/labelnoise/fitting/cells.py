"""CSV files that people fill in a spreadsheet: read as it may have left them, written so that it runs nothing."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from labelnoise.audit import csv_text, unescape_cell
from labelnoise.datasets._table_csv import check_csv
from labelnoise.datasets._table_parts import check_column, read_utf8


def read_cells(path: Path, *columns: str) -> list[dict[str, str]]:
    """The rows of a CSV file by column, unescaped; all of ``columns`` must be there, others may.

    It may come out of a spreadsheet: with a byte order mark, CRLF, empty rows, or rows without their last, empty cells.

    Raises:
        ValueError: a file that is missing, empty or not UTF-8; other separators than commas; a quote that is never
            closed; a row that is too long.
    """
    data = read_utf8(path)
    check_csv(path, data)
    text = data.decode("utf-8-sig")
    csv.field_size_limit(max(len(text), csv.field_size_limit()))  # Python's own is 131,072, and a cell may be a text
    reader = csv.reader(io.StringIO(text, newline=""))
    rows: list[dict[str, str]] = []
    try:
        header = [unescape_cell(name.strip()) for name in next(reader)]
        for column in columns:
            check_column(path, column, header)
        for cells in reader:
            if len(cells) > len(header):
                where = f"{len(cells)} in line {reader.line_num}"
                raise ValueError(
                    f"{path} must have at most {len(header)} cells in a row, as in its header, got {where}"
                )
            if any(map(str.strip, cells)):
                cells += [""] * (len(header) - len(cells))
                rows.append({name: unescape_cell(cell) for name, cell in zip(header, cells, strict=True)})
    except csv.Error as error:
        raise ValueError(f"{path} cannot be read: {error} in line {reader.line_num}") from None
    return rows


def csv_bytes(header: Iterable[str], rows: Iterable[Iterable[object]]) -> bytes:
    """A CSV file that no spreadsheet runs and :func:`read_cells` reads.

    >>> csv_bytes(["index", "label"], [(0, "=cat")])
    b"index,label\\n0,'=cat\\n"
    """
    return csv_text(header, rows).encode()


def whole_number(path: Path, cell: str) -> int:
    """The index that a cell says; a ``ValueError`` if it says none."""
    if not (cell.strip().isascii() and cell.strip().isdigit()):
        raise ValueError(f"{path} must have row numbers from 0 as index, got {cell[:100]!r}")
    return int(cell)
