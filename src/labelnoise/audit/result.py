"""What an audit found, as arrays, a table, a summary and a file for a spreadsheet."""

import csv
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

_NOTHING = 1e-6  # samples
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'")


class AuditWarning(UserWarning):
    """The probabilities are not what an audit expects."""


class Estimate(NamedTuple):
    """How many labels are wrong; fractions."""

    rate: float
    """The mean of p_wrong."""
    low: float
    """Of the interval that spans both readings, with the sampling error (95 %) of the rows they were fitted on."""
    high: float
    by_class: float
    """If noise depends on the class alone."""
    by_instance: float
    """If noise sits on the samples that the model doubts."""


class Audit(NamedTuple):
    """One row a sample, in the order of the data."""

    index: np.ndarray  # pyright: ignore[reportIncompatibleMethodOverride] (hides tuple.index)
    """The row in the data set."""
    given: np.ndarray
    """The label as given, a class number."""
    suggested: np.ndarray
    """The most likely true label; of a label that is likelier wrong than right, the most likely other."""
    p_wrong: np.ndarray
    """Probability that the given label is wrong."""
    threshold: float
    """Labels with a larger p_wrong are flagged."""
    estimate: Estimate
    joint: np.ndarray
    """Expected number of samples by true label (row) and given label (column)."""
    class_names: tuple[str, ...]
    reading: str
    """What p_wrong assumes: ``"class"``, ``"instance"``, or ``"auto"``, half of each."""
    disagreement_rises: bool
    """Whether labels contradict the model more often where it is surest: a sign that it was misled."""
    ids: tuple[str, ...] | None = None
    """What people call the samples: a path, a name; their numbers without."""
    evidence: Mapping[str, Sequence[float | int | None]] = MappingProxyType({})
    """What else is known of each sample, by column; None where nothing is."""

    @property
    def quality(self) -> np.ndarray:
        """1 - p_wrong: cleanlab's orientation, the lower the worse."""
        return 1 - self.p_wrong

    @property
    def is_issue(self) -> np.ndarray:
        """Whether the label is flagged."""
        return self.p_wrong > self.threshold

    @property
    def transition(self) -> np.ndarray:
        """p(given label = column | true label = row); a class that nothing is believed to be keeps its own label."""
        samples = self.joint.sum(1, keepdims=True)
        return np.divide(self.joint, samples, out=np.eye(len(samples)), where=samples > _NOTHING)

    def summary(self) -> dict[str, Any]:
        """The counts, rates and matrix as plain JSON."""
        n, names = len(self.given), self.class_names
        given = np.bincount(self.given, minlength=len(names)).tolist()
        wrong = np.bincount(self.given, weights=self.p_wrong, minlength=len(names)).tolist()
        return {
            "num_samples": n,
            "num_issues": int(self.is_issue.sum()),
            "estimated_errors": round(n * self.estimate.rate),
            "estimated_error_rate": self.estimate.rate,
            "estimated_error_rate_low": self.estimate.low,
            "estimated_error_rate_high": self.estimate.high,
            "error_rate_if_noise_depends_on_the_class": self.estimate.by_class,
            "error_rate_if_noise_depends_on_the_sample": self.estimate.by_instance,
            "reading": self.reading,
            "threshold": self.threshold,
            "disagreement_rises_with_confidence": self.disagreement_rises,
            "class_names": list(names),
            "error_rate_by_given_class": {
                name: errors / count if count else None for name, errors, count in zip(names, wrong, given, strict=True)
            },
            "error_rate_by_true_class": dict(zip(names, (1 - self.transition.diagonal()).tolist(), strict=True)),
            "transition_matrix": self.transition.tolist(),
        }

    def columns(self) -> dict[str, Any]:
        """The table's columns by name: arrays, or lists of what may be absent; ``decision`` is for whoever reviews."""
        names = np.array(self.class_names, dtype=object)
        return {
            "index": self.index,
            "id": np.array(self.index.astype(str) if self.ids is None else self.ids, dtype=object),
            "given_label": names[self.given],
            "suggested_label": names[self.suggested],
            "p_wrong": self.p_wrong,
            "quality": self.quality,
            "is_issue": self.is_issue,
            "decision": np.full(len(self.given), "", dtype=object),
            **{name: list(values) for name, values in self.evidence.items()},
        }

    def to_table(self) -> "pa.Table":
        """As a pyarrow table."""
        import pyarrow as pa

        return pa.table(self.columns())

    def to_pandas(self) -> Any:
        """As a pandas DataFrame, where pandas is installed."""
        return self.to_table().to_pandas()

    def to_csv(self) -> str:
        """As CSV; a name that a spreadsheet would run as a formula is escaped by :func:`escape_cell`."""
        columns = self.columns()
        return csv_text(columns, zip(*(list(column) for column in columns.values()), strict=True))


def csv_text(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A CSV file of which no spreadsheet runs a cell: texts by :func:`escape_cell`, nothing for ``None``.

    >>> csv_text(["index", "=label"], [(0, "=cat")])
    "index,'=label\\n0,'=cat\\n"
    """
    lines = _Lines()
    writer = csv.writer(lines)
    every = itertools.chain([header], rows)
    writer.writerows([escape_cell(cell) if isinstance(cell, str) else cell for cell in row] for row in every)
    return "".join(lines)


class _Lines(list[str]):
    """What ``csv.writer`` writes, with ``\\n`` as ends; if told so, it leaves ``\\r`` unquoted before Python 3.13."""

    def write(self, line: str) -> None:
        self.append(line.removesuffix("\r\n") + "\n")


def escape_cell(text: str) -> str:
    """A quote in front of what a spreadsheet would take for a formula, and of a quote itself: nothing is lost.

    >>> escape_cell("=cmd()"), escape_cell("'quoted"), escape_cell("-1"), escape_cell("plain")
    ("'=cmd()", "''quoted", '-1', 'plain')
    """
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text


def unescape_cell(text: str) -> str:
    """What :func:`escape_cell` was given.

    >>> unescape_cell(escape_cell("=cmd()"))
    '=cmd()'
    """
    return text.removeprefix("'")
