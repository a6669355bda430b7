"""What a person decided of the labels: read from a report's download, a spreadsheet or an earlier review."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from labelnoise import _registry
from labelnoise.fitting.cells import csv_bytes, read_cells, whole_number
from labelnoise.fitting.trusted import WORDS
from labelnoise.tasks._audit_folder import AuditedRow, AuditFolder

DECISIONS = "decisions.csv"
"""Beside an audit: all that has been decided so far."""


class Decision(NamedTuple):
    """Of one label."""

    word: str
    """``accept`` the suggestion, ``keep`` the given label, or ``relabel``."""
    label: str
    """What the label is from now on."""


def read_decisions(path: Path, audit: AuditFolder) -> dict[int, Decision]:
    """The rows of a table ``index,decision[,label]`` that are decided, by their index.

    Of ``relabel`` the column ``label`` names the class; without such a column the decision may be the class itself. A
    label beside ``accept`` or ``keep`` must be the one that follows from it, and a given or suggested label beside any
    must be the audit's, else the decision is of another audit.

    Raises:
        ValueError: a word, row or class that is unknown, two decisions of one row, or one that fits another audit.
    """
    decided: dict[int, Decision] = {}
    for cells in read_cells(path, "index", "decision"):
        if not cells["decision"].strip():
            continue
        index = _known_index(path, cells["index"], audit)
        decision = _decision(f"in row {index} of {path}", cells, audit.rows[index], audit.class_names)
        known = {"given_label": audit.rows[index].given}
        known |= {"suggested_label": audit.rows[index].suggested} if decision.word == "accept" else {}
        for name, label in known.items():
            if cells.get(name, "").strip() not in ("", label.strip()):
                raise ValueError(f"{path} must have the audit's {name} {label!r} in row {index}, got {cells[name]!r}")
        if decided.setdefault(index, decision) != decision:
            raise ValueError(f"{path} must decide each row once, got {_both(index, decided[index], decision)}")
    return decided


def read_earlier(path: Path, audit: AuditFolder) -> dict[int, Decision]:
    """The decisions of earlier reviews, as :func:`decisions_csv` wrote them; none where there is no file.

    Raises:
        ValueError: a damaged file, or decisions of other data.
    """
    decided: dict[int, Decision] = {}
    for cells in read_cells(path, "index", "decision", "label", "given_label") if path.exists() else []:
        index = _known_index(path, cells["index"], audit)
        known = cells["decision"] in WORDS and cells["label"] in audit.class_names
        if not known or cells["given_label"] != audit.rows[index].given:
            got = f"{cells['decision']!r}, {cells['label']!r} for {cells['given_label']!r} in row {index}"
            raise ValueError(f"{path} must hold decisions of these data, got {got}; move it away to begin anew")
        decided[index] = Decision(cells["decision"], cells["label"])
    return decided


def joined(first: Mapping[int, Decision], second: Mapping[int, Decision]) -> dict[int, Decision]:
    """The decisions of two files; a ``ValueError`` names a row on whose label they differ."""
    for index in first.keys() & second.keys():
        if first[index].label != second[index].label:
            both = _both(index, first[index], second[index])
            raise ValueError(f"decisions must not differ from those in the random sample, got {both}")
    return {**first, **second}


def decisions_csv(decided: Mapping[int, Decision], audit: AuditFolder) -> bytes:
    """``index,decision,label,given_label,id``, in the order of the data."""
    rows = ((i, *decision, audit.rows[i].given, audit.rows[i].id) for i, decision in sorted(decided.items()))
    return csv_bytes(("index", "decision", "label", "given_label", "id"), rows)


def _known_index(path: Path, cell: str, audit: AuditFolder) -> int:
    index = whole_number(path, cell)
    if index not in audit.rows:
        raise ValueError(
            f"{path} must decide rows of the audit, which are within [0, {max(audit.rows)}], got row {index}"
        )
    return index


def _decision(where: str, cells: Mapping[str, str], row: AuditedRow, class_names: tuple[str, ...]) -> Decision:
    word, label = cells["decision"].strip().lower(), cells.get("label", "")
    if "label" not in cells and word in WORDS and word in (name.strip().lower() for name in class_names):
        raise ValueError(f"decision {where} may be the word or the class {word!r}; a column label says which")
    if word not in WORDS and "label" not in cells:
        word, label = "relabel", cells["decision"]
        _registry.check_name(f"decision {where}", _class(label, class_names), [*WORDS, *class_names])
    _registry.check_name(f"decision {where}", word, WORDS)
    label = _class(label, class_names)
    if word == "relabel":
        if not label:
            raise ValueError(f"label must name a class where the decision is relabel, got none {where}")
        try:
            _registry.check_name(f"label {where}", label, class_names)
        except ValueError as error:
            raise ValueError(f"{error}; a new class needs a new training") from None
        return Decision(word, label)
    follows = row.suggested if word == "accept" else row.given
    if label not in ("", follows):
        raise ValueError(
            f"label must be {follows!r}, which {word} means, or nothing, got {label!r} {where}: of another audit?"
        )
    return Decision(word, follows)


def _class(cell: str, class_names: tuple[str, ...]) -> str:
    return cell if cell in class_names else cell.strip()


def _both(index: int, first: Decision, second: Decision) -> str:
    return f"{first.word} ({first.label!r}) and {second.word} ({second.label!r}) for row {index}"
