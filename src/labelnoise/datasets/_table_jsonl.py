"""Labels of JSON Lines files: what each line says under a key, and how it says another one."""

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from labelnoise.datasets._table_parts import BOM, Cell, check_column, place

_BLANKS = " \t\r\n"


class _Number(NamedTuple):
    """A number as it is written: 1 and 1.0 are two labels."""

    text: str


# NaN and Infinity are no JSON, though Python writes them; as labels they are missing ones.
_DECODER = json.JSONDecoder(parse_int=_Number, parse_float=_Number, parse_constant=lambda _: None)


def json_cells(path: Path, data: bytes, column: str) -> list[Cell]:
    """The lines that are objects, and the label each has under ``column``.

    Raises:
        ValueError: a line that is no JSON object, or has no label or one that is neither text nor number: it is named.
    """
    cells: list[Cell] = []
    names: set[str] = set()
    missing: list[str] = []
    for start, line, record in _records(path, data):
        names |= record.keys()
        label = _label(record.get(column))
        if label is None:
            where = place(data, start, len(cells))
            raise ValueError(f"{path} must have text or a number as {column}, got something else in {where}")
        if not label.strip():
            missing += [] if missing else [place(data, start, len(cells))]
        cells.append(Cell(start, start + len(line), label))
    check_column(path, column, sorted(names))  # first, for a name with a typo is missing in every row
    if missing:
        raise ValueError(f"{path} has no {column} in {missing[0]}")
    return cells


def json_texts(path: Path, data: bytes, columns: Collection[str]) -> dict[str, list[str]]:
    """Columns as the file writes them, nothing where a row has none; without those that hold lists or objects.

    Raises:
        ValueError: a line that is no JSON object.
    """
    texts: dict[str, list[str]] = {column: [] for column in columns}
    for _, _, record in _records(path, data):
        for column in list(texts):
            text = _label(record.get(column))
            if text is None:
                del texts[column]
            else:
                texts[column].append(text)
    return texts


def one_kind_a_column(path: Path, data: bytes) -> bytes:
    """The lines once more, as text whatever stands in a column that has values of several kinds.

    Raises:
        ValueError: a line that is no JSON object.

    >>> one_kind_a_column(Path("data.jsonl"), b'{"x": 1, "y": 2}\\n{"x": "one", "y": 2.5}')
    b'{"x": "1", "y": 2}\\n{"x": "one", "y": 2.5}'
    """
    records: list[dict[str, Any]] = [json.loads(line) for _, line, _ in _records(path, data)]
    kinds: dict[str, set[type]] = {}
    for record in records:
        for name, value in record.items():
            kinds.setdefault(name, set()).update(
                [] if value is None else [float if type(value) is int else type(value)]
            )
    mixed = {name for name, seen in kinds.items() if len(seen) > 1}
    for record in records:
        record |= {
            name: json.dumps(record[name])
            for name in mixed & record.keys()
            if record[name] is not None and not isinstance(record[name], str)
        }
    return "\n".join(map(json.dumps, records)).encode()


def json_line(line: bytes, column: str, label: str, *, ascii_only: bool) -> bytes:
    r"""``line`` with another label; a number or a truth value stays one where the new label is one too.

    >>> json_line(b'{"stars": 1, "text": "1"}', "stars", "5", ascii_only=True)
    b'{"stars": 5, "text": "1"}'
    >>> json_line(b'{"stars": 1}', "stars", "five", ascii_only=True)
    b'{"stars": "five"}'
    """
    text = line.decode()
    start, end = _span(text, column)
    old, _ = _DECODER.raw_decode(text, start)
    try:
        new = _DECODER.decode(label)
    except (ValueError, RecursionError):  # the second of thousands of brackets
        new = None
    same_kind = type(new) is type(old) and _label(new) == label
    value = label if same_kind else json.dumps(label, ensure_ascii=ascii_only)
    return (text[:start] + value + text[end:]).encode()


def _records(path: Path, data: bytes) -> Iterator[tuple[int, bytes, dict[str, Any]]]:
    """The lines that are not blank: where each begins, its bytes, and the object it is."""
    start, row = len(data) - len(data.removeprefix(BOM)), 0
    for line in data[start:].split(b"\n"):
        if line.strip(_BLANKS.encode()):
            yield start, line, _object(path, data, start, line, row=row)
            row += 1
        start += len(line) + 1


def _object(path: Path, data: bytes, start: int, line: bytes, *, row: int) -> dict[str, Any]:
    try:
        record = _DECODER.decode(line.decode())
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at column {error.colno}"
        raise ValueError(
            f"{path} must have a JSON object in every line: {reason} of {place(data, start, row)}"
        ) from None
    except RecursionError:
        raise ValueError(f"{path} is nested too deeply in {place(data, start, row)}") from None
    if not isinstance(record, dict):
        raise ValueError(
            f"{path} must have a JSON object in every line, got another value in {place(data, start, row)}"
        )
    return record


def _label(value: object) -> str | None:
    """What a JSON value says as a label: nothing if it is missing, None if it can be none."""
    match value:
        case None:
            return ""
        case bool():
            return json.dumps(value)
        case _Number(text):
            return text
        case str() if not any("\ud800" <= letter <= "\udfff" for letter in value):
            return value
        case _:  # an object, a list, or half a character, which cannot be written
            return None


def _span(text: str, column: str) -> tuple[int, int]:
    """Where the value of a key lies in an object that has it; of several, json takes the last."""
    span = (0, 0)
    position = _past_blanks(text, 0)
    while text[position] != "}":
        key, end = _DECODER.raw_decode(text, _past_blanks(text, position + 1))  # past the "{" or ","
        start = _past_blanks(text, _past_blanks(text, end) + 1)  # past the ":"
        _, end = _DECODER.raw_decode(text, start)
        if key == column:
            span = (start, end)
        position = _past_blanks(text, end)
    return span


def _past_blanks(text: str, position: int) -> int:
    while text[position] in _BLANKS:
        position += 1
    return position
