"""The random sample of a review on disk: ``sample.csv`` for the person, ``sample.json`` for the estimate."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from labelnoise import _files
from labelnoise.audit.random_sample import Sample, SampleEstimate, draw_sample, estimate_from_sample
from labelnoise.datasets._table_file import read_rows
from labelnoise.fitting.cells import csv_bytes, read_cells, whole_number
from labelnoise.tasks._audit_folder import AuditFolder, is_unchanged, read_json, read_source, write_json
from labelnoise.tasks._decisions import Decision, read_decisions

SAMPLE = "sample.csv"
_HEADER = ("index", "id", "given_label", "decision", "label")


class ReviewSample(NamedTuple):
    """A sample that a person decides, or has decided."""

    path: Path
    size: int
    open: int
    """Rows without a decision."""
    estimate: SampleEstimate | None
    """Of all given labels; None until every row of the sample is decided."""
    is_new: bool = False
    """Whether it was drawn just now."""


class OpenedSample(NamedTuple):
    """A sample as it lies in the folder of an audit, and what was decided of it."""

    path: Path
    sample: Sample
    decided: dict[int, Decision]


def open_sample(audit: AuditFolder) -> OpenedSample | None:
    """The sample in the folder of an audit, if one was drawn.

    Raises:
        ValueError: files that are damaged, of another audit, or have rows that were not drawn.
    """
    path, drawn = audit.path / SAMPLE, audit.path / "sample.json"
    if not path.exists():
        return None
    strata = read_json(drawn).get("strata")
    try:
        index = [int(row) for stratum in strata or () for row in stratum["index"]]
        inside = [int(stratum["rows"]) for stratum in strata or ()]
        stratum = np.repeat(np.arange(len(inside)), [len(stratum["index"]) for stratum in strata or ()])
    except (TypeError, ValueError, KeyError):
        raise ValueError(
            f"{drawn} must hold the strata of a sample; move it and sample.csv away to draw anew"
        ) from None
    if not index or sum(inside) != len(audit.rows) or not set(index) <= audit.rows.keys():
        raise ValueError(f"{drawn} must be of this audit, got {len(index)} rows of {sum(inside):,} in all")
    foreign = {whole_number(path, cells["index"]) for cells in read_cells(path, "index")} - set(index)
    if foreign:
        raise ValueError(f"{path} must have only the rows that were drawn, got row {min(foreign)}")
    return OpenedSample(path, Sample(np.array(index), stratum, tuple(inside)), read_decisions(path, audit))


def progress(opened: OpenedSample, audit: AuditFolder) -> ReviewSample:
    """How far a sample is decided and, when it is, how many of all given labels are wrong."""
    size, decided = len(opened.sample.index), opened.decided
    wrong: Mapping[int, bool] = {
        index: decision.label != audit.rows[index].given for index, decision in decided.items()
    }
    estimate = estimate_from_sample(opened.sample, wrong) if len(decided) == size else None
    return ReviewSample(opened.path, size, size - len(decided), estimate)


def draw(audit: AuditFolder, size: int, *, seed: int) -> ReviewSample:
    """Draw a sample and write both of its files, in the place of an older one."""
    try:
        p_wrong = np.array([float(row.p_wrong) for row in audit.rows.values()])
    except ValueError as error:
        raise ValueError(f"p_wrong must be numbers in every row of labels.csv: {error}") from None
    rows = np.array(list(audit.rows))
    in_order = np.argsort(rows)  # so that a sorted labels.csv gives the same sample
    sample = draw_sample(p_wrong[in_order], size, seed=seed)
    index = rows[in_order][sample.index]
    strata = [
        {"rows": inside, "index": sorted(index[sample.stratum == stratum].tolist())}
        for stratum, inside in enumerate(sample.strata)
    ]
    # Neither p_wrong nor the suggestion, and in random order, so that nothing tells the person what to find.
    beside = _data_columns(audit, index.tolist())
    lines = (
        (row, audit.rows[row].id, audit.rows[row].given, "", "", *cells)
        for row, *cells in zip(index.tolist(), *beside.values(), strict=True)
    )
    write_json(audit.path / "sample.json", {"seed": seed, "size": size, "strata": strata})
    path = audit.path / SAMPLE
    with _files.replacing(path) as file:
        file.write(csv_bytes([*_HEADER, *beside], lines))
    return ReviewSample(path, size, size, None, is_new=True)


def _data_columns(audit: AuditFolder, rows: list[int]) -> dict[str, list[str]]:
    """What a table says of these rows, but for its labels; nothing of a table that is not as it was audited."""
    source = read_source(audit.path, None)
    if source.labels.kind != "table" or not is_unchanged(source):
        return {}
    columns = read_rows(source.labels.path, rows)
    return {f"data: {name}": cells for name, cells in columns.items() if name != source.labels.column}
