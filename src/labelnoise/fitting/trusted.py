"""Decisions of somebody who has looked, as the report and ``labelnoise review`` write them."""

import csv
import io
from pathlib import Path
from typing import NamedTuple

from labelnoise import _registry
from labelnoise.datasets._table_parts import read_utf8
from labelnoise.fitting.cells import read_cells, whole_number

WORDS = ("accept", "keep", "relabel")
"""What a decision may be: for the suggestion, the given label, or the class beside it."""

_COLUMNS = ("index", "decision", "label")


class Decided(NamedTuple):
    """What somebody decided of a row, and as what they knew it."""

    word: str
    label: str
    given: str = ""
    """Its label then; nothing where the file does not say."""
    id: str = ""
    """What it was called then, likewise."""


def read_decisions(path: Path) -> dict[int, Decided] | None:
    """What somebody decided, by row of the data; ``None`` if the file is none of decisions.

    Raises:
        ValueError: a decision that is unknown, without a row or without a label, two on one row, or none at all; the
            list of an audit.
    """
    if path.suffix.lower() != ".csv" or not path.is_file():
        return None
    text = io.StringIO(read_utf8(path).decode("utf-8-sig"), newline="")  # whatever ends its lines
    try:
        names = {name.strip() for name in next(csv.reader(text))}
    except csv.Error:  # a cell that does not end, of which who reads the file as data complains
        return None
    if names >= {"given_label", "suggested_label", "decision"}:
        raise ValueError(f"{path} is a list of labels; labelnoise review makes the decisions.csv of it that is trusted")
    if not names >= set(_COLUMNS):
        return None
    decided: dict[int, Decided] = {}
    for cells in read_cells(path, *_COLUMNS):
        if not cells["decision"].strip():
            continue
        row, label = whole_number(path, cells["index"]), cells["label"]
        if not label.strip():
            raise ValueError(f"{path} must have a label beside each decision, got none for row {row}")
        word = cells["decision"].strip().lower()
        _registry.check_name(f"decision in row {row} of {path}", word, WORDS)
        made = Decided(word, label, cells.get("given_label", ""), cells.get("id", ""))
        if decided.setdefault(row, made).label != label:
            raise ValueError(f"{path} must decide once on row {row}, got {decided[row].label!r} and {label!r}")
    if not decided:
        raise ValueError(f"{path} must hold decisions, got none")
    return decided
