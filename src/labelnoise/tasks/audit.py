"""The audit of probabilities that lie in a file, from whatever model they came."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from labelnoise import _files
from labelnoise.audit import Audit, audit_labels
from labelnoise.audit.readings import Assume
from labelnoise.datasets._own_arrays import read_array_file
from labelnoise.runs import FitFolder
from labelnoise.tasks._audit_folder import LABELS, SOURCE, SUMMARY, check_undecided, read_json, source_of
from labelnoise.tasks._decisions import DECISIONS
from labelnoise.tasks._review_sample import SAMPLE


# Not called `audit`: that is the package of audits, `labelnoise.audit`, which a task of that name would hide.
def audit_files(
    pred_probs: Path | str,
    labels: Path | str,
    *,
    out: Path | str,
    assume: Assume = "auto",
    max_false_flags: float | None = None,
) -> Audit:
    """Tell which labels are wrong, and write ``labels.csv`` and ``summary.json`` into the folder ``out``.

    Beside them ``source.json`` tells :func:`labelnoise.review` where the labels lie.

    Args:
        pred_probs: ``.npy`` of (n, k) out-of-sample class probabilities.
        labels: ``.npy`` of (n) given labels, whole numbers from 0 to k - 1.
        out: made if need be; an earlier audit there is replaced, unless decisions lie there that are not reviewed
            yet, or are on other labels.
        assume, max_false_flags: as of :func:`labelnoise.audit.audit_labels`.

    Raises:
        ValueError: files that are no arrays of that kind; a folder that cannot be written, or holds a fit or decisions.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/p.npy", np.tile([[0.9, 0.1], [0.2, 0.8]], (50, 1)))
        ...     np.save(f"{folder}/y.npy", np.array([0, 1] * 50))
        ...     found = audit_files(f"{folder}/p.npy", f"{folder}/y.npy", out=f"{folder}/audit")
        ...     sorted(path.name for path in Path(folder, "audit").iterdir())
        ['labels.csv', 'source.json', 'summary.json']
    """
    out, probabilities, given = Path(out), _load("pred_probs", Path(pred_probs)), _load("labels", Path(labels))
    source = source_of(Path(pred_probs), labels=Path(labels))
    _check_free(out, source)
    found = audit_labels(probabilities, given, assume=assume, max_false_flags=max_false_flags)
    files = {LABELS: found.to_csv(), SUMMARY: json.dumps(found.summary(), indent=2), SOURCE: json.dumps(source)}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            with _files.replacing(out / name) as file:
                file.write(text.encode())
    except OSError as error:
        raise ValueError(f"out must be a folder that can be written, got {out}: {error.strerror}") from None
    return found


def _check_free(out: Path, source: Mapping[str, Any]) -> None:
    """Raise a ``ValueError`` where the folder holds a fit, something else under the names of an audit, or decisions:
    not reviewed yet, or on other labels.
    """
    if FitFolder(out).is_begun:
        raise ValueError(f"out must not be the folder of a fit, got {out}")
    taken = next((name for name in (LABELS, SUMMARY, SOURCE) if (out / name).exists()), None)
    if taken and not _is_source(out / SOURCE):
        raise ValueError(f"out must hold nothing but an earlier audit, got another {taken} in {out}")
    check_undecided(out)
    for reviewed in (out / DECISIONS, out / SAMPLE):
        if reviewed.exists() and read_json(out / SOURCE).get("sha256") != source["sha256"]:
            raise ValueError(f"{reviewed} is of other labels; move it away, or give another folder")


def _is_source(path: Path) -> bool:
    try:
        return "sha256" in read_json(path)
    except ValueError:
        return False


def _load(name: str, path: Path) -> np.ndarray:
    if path.suffix.lower() != ".npy":  # by which a review knows what it is
        raise ValueError(f"{name} must be an .npy file, got {path}")
    return read_array_file(path)
