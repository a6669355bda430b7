"""A person's decisions on labels made into cleaned data, and a random sample that says how many are wrong."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from labelnoise import _files
from labelnoise.datasets._own_rewrite import own_labels, rewrite_own
from labelnoise.fitting.cells import csv_bytes
from labelnoise.tasks._audit_folder import (
    LABELS,
    SUMMARY,
    AuditFolder,
    Source,
    is_unchanged,
    read_audit,
    read_json,
    read_source,
    write_json,
)
from labelnoise.tasks._decisions import DECISIONS, Decision, decisions_csv, joined, read_decisions, read_earlier
from labelnoise.tasks._review_sample import ReviewSample, draw, open_sample, progress

_PROVENANCE = ("index", "id", "given_label", "label", "decision")


class Review(NamedTuple):
    """What was decided so far, and where it lies."""

    out: Path
    """The data with the labels that were decided."""
    provenance: Path
    """Which rows of ``out`` a person has decided."""
    decisions: Path
    rows: int
    changed: int
    """Rows with another label than the given one."""
    confirmed: int
    """Rows whose given label was found right."""
    replaced: int
    """Rows that an earlier review had given another label."""
    sample: ReviewSample | None

    @property
    def undecided(self) -> int:
        """Rows that nobody has decided."""
        return self.rows - self.changed - self.confirmed


def review(
    folder: Path | str,
    *,
    decisions: Path | str | None = None,
    out: Path | str | None = None,
    data: Path | str | None = None,
) -> Review:
    """Copy the data of an audit with the labels that a person decided, and keep all decisions in ``decisions.csv``.

    A decision is ``accept`` (the suggestion is right), ``keep`` (the given label is) or ``relabel`` (to the class in
    ``label``); none leaves the row open. Decisions of earlier reviews hold unless a new one replaces them; to take one
    back, delete its row in ``decisions.csv``. A ``sample.csv`` in the folder is read as well, and once all of it is
    decided, ``summary.json`` gets its estimate as ``reviewed_sample``.

    Args:
        folder: where ``labelnoise fit`` or ``labelnoise audit`` wrote ``labels.csv``, ``summary.json`` and
            ``source.json``.
        decisions: a table ``index,decision[,label]``, as the report downloads it; by default ``labels.csv``.
            Without a column ``label`` the decision may also be the class to relabel to.
        out: the copy, by default ``cleaned`` in the folder; ``<out>.provenance.csv`` beside it has the decided rows.
            An earlier copy is replaced, anything else is not.
        data: where the data lie now, if they have moved; of ``.npy`` data the file of labels.

    Raises:
        ValueError: files that are missing or damaged; no decisions, or some that contradict each other or are of other
            data; data that have changed since the audit; an ``out`` that is no earlier copy.

    Example: ``review("audit", decisions="Downloads/decisions.csv").changed`` labels differ in ``audit/cleaned.csv``.
    """
    audit = read_audit(Path(folder))
    opened = open_sample(audit)
    new = read_decisions(audit.path / LABELS if decisions is None else Path(decisions), audit)
    if opened is not None:
        new = joined(new, opened.decided)
    kept = audit.path / DECISIONS
    earlier = read_earlier(kept, audit)
    decided = earlier | new
    if not decided:
        empty = audit.path / LABELS if decisions is None else decisions
        raise ValueError(f"{empty} must have accept, keep or relabel as decision in some row, got none")
    source = read_source(audit.path, None if data is None else Path(data))
    _check_unchanged(source, audit)

    suffix = source.labels.path.suffix if source.labels.kind != "folder" else ""
    out = audit.path / f"cleaned{suffix}" if out is None else Path(out)
    provenance = out.with_name(f"{out.name}.provenance.csv")
    _check_out(out, provenance, source.labels.path, suffix)
    changes = {index: made.label for index, made in decided.items() if made.label != audit.rows[index].given}
    with _files.replacing(provenance) as file:
        file.write(_provenance_csv(decided, audit))
        rewrite_own(source.labels, out, changes)  # if it fails, the provenance stays that of the copy that is there
    with _files.replacing(kept) as file:
        file.write(decisions_csv(decided, audit))
    sample = None if opened is None else progress(opened, audit)
    if sample is not None and sample.estimate is not None:
        summary = read_json(audit.path / SUMMARY)
        write_json(
            audit.path / SUMMARY, {**summary, "reviewed_sample": {"size": sample.size, **sample.estimate._asdict()}}
        )
    replaced = sum(index in new and new[index].label != made.label for index, made in earlier.items())
    return Review(out, provenance, kept, len(audit.rows), len(changes), len(decided) - len(changes), replaced, sample)


def draw_review_sample(folder: Path | str, *, size: int, seed: int = 0) -> ReviewSample:
    """Draw rows at random into ``sample.csv``, for a count of the wrong labels that the audit's ranking cannot bias.

    Of a table, the rows' other columns stand beside, so that they can be judged there, unless it has moved or changed.
    A sample that is there stays, unless nothing of it is decided and another size is asked for: to choose among samples
    after a look at them would spoil the count.

    Args:
        folder: where ``labelnoise fit`` or ``labelnoise audit`` wrote ``labels.csv`` and ``summary.json``.
        size: rows to draw; a hundred tell a rate of 10 % to within 6 points.
        seed: of the draw.

    Raises:
        ValueError: files that are missing or damaged, or a size or seed out of range.

    Example: ``draw_review_sample("audit", size=100).path`` is ``audit/sample.csv``, with 100 rows to decide.
    """
    audit = read_audit(Path(folder))
    opened = open_sample(audit)
    if opened is not None and (opened.decided or len(opened.sample.index) == size):
        return progress(opened, audit)
    return draw(audit, size, seed=seed)


def _check_unchanged(source: Source, audit: AuditFolder) -> None:
    path = source.labels.path
    if not path.exists():
        raise ValueError(f"data must lie where they were audited, {path}, or be passed as data (--data)")
    if not is_unchanged(source):
        raise ValueError(f"{path} must be as it was audited, got another checksum: audit it anew")
    labels, ids = own_labels(source.labels)
    for index, row in audit.rows.items():
        found = (labels[index], row.id if ids is None else ids[index]) if index < len(labels) else None
        if found != (row.given, row.id):
            expected = f"{row.given!r} ({row.id}) in row {index}"
            raise ValueError(f"{path} must be as it was audited, with {expected}, got {found}: audit it anew")


def _check_out(out: Path, provenance: Path, data: Path, suffix: str) -> None:
    """Raise a ``ValueError`` unless ``out`` is free, or what an earlier review wrote, as its provenance shows."""
    if out.exists() and out.samefile(data):
        raise ValueError(f"out must not be the data themselves, got {out}")
    if suffix and out.suffix.lower() != suffix.lower():
        raise ValueError(f"out must end in {suffix}, as the data, got {out}")
    if not out.parent.is_dir():
        raise ValueError(f"out must lie in a folder that exists, got {out}")
    is_free = not (out.exists() or provenance.exists())
    header = ",".join(_PROVENANCE).encode()
    made_here = provenance.is_file() and provenance.read_bytes().startswith(header)
    same_kind = not out.exists() or (out.is_file() if suffix else out.is_dir())
    if not (is_free or (made_here and same_kind)):
        raise ValueError(f"out must not exist yet, or be the copy of an earlier review, got {out}")


def _provenance_csv(decided: Mapping[int, Decision], audit: AuditFolder) -> bytes:
    rows = (
        (index, audit.rows[index].id, audit.rows[index].given, made.label, made.word)
        for index, made in sorted(decided.items())
    )
    return csv_bytes(_PROVENANCE, rows)
