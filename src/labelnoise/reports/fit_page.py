"""The HTML page of ``labelnoise fit``: which labels are wrong, a place to judge them, and how the model was chosen."""

import base64
import hashlib
import json
import math
import re
from collections.abc import Callable
from importlib.resources import files
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes

from labelnoise.audit import Audit
from labelnoise.metrics import DetectionScores, detection_scores
from labelnoise.reports._template import render
from labelnoise.reports.figures import _COLOURS, _svg
from labelnoise.reports.fit_cards import Shown, cards
from labelnoise.reports.sections import Table
from labelnoise.training import EpochMetrics

_STATIC = 50  # cards without a script
_HEAT = 30  # classes
_PAIRS = 12
_NO_CHARACTERS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")  # not allowed in HTML, or not in UTF-8


class Candidate(NamedTuple):
    """One loss that was tried."""

    name: str
    validation_accuracy: float
    """Of the best noisy-validation epoch: what the choice goes by; balanced accuracy where the fit was told so."""
    standard_error: float
    best_epoch: int
    history: list[EpochMetrics]
    test_accuracy_best: float | None
    """At the best epoch; ``None`` without a test set."""
    test_accuracy_last: float | None


class FitFindings(NamedTuple):
    """What the page says."""

    title: str
    command: str
    audit: Audit
    ids: tuple[str, ...]
    """One a row of the audit."""
    show: Callable[[int], Shown]
    """From a row of the audit to its picture or text."""
    candidates: list[Candidate]
    chosen: int
    """Position in ``candidates``."""
    reasons: list[str]
    """Sentences: what was chosen and why, and what to be wary of."""
    metrics: dict[str, Any]
    """As in ``metrics.json``, of the chosen model."""
    facts: list[tuple[str, str]]
    """Label and value."""
    environment: dict[str, Any]
    """As :func:`labelnoise.runs.environment`."""
    truth: np.ndarray | None = None
    """The true classes where they are known."""
    decided: frozenset[int] = frozenset()
    """Rows that somebody has decided on already: they are not shown again."""


class Heat(NamedTuple):
    """p(given label = column | true label = row) of some classes, in percent."""

    names: list[str]
    percent: list[list[float]]
    shade: list[list[float]]
    """From 0 to 1, the largest error; 0 on the diagonal, which would outshine all errors."""


def fit_page(findings: FitFindings, *, rows: int = 2000) -> str:
    """The report: one file that works from disk, offline, in which a person can judge up to ``rows`` labels.

    Names, texts and ids are escaped, and the page's security policy lets no other script run and nothing be fetched.
    """
    audit, n = findings.audit, len(findings.audit.given)
    shown = cards(audit, findings.ids, findings.show, rows=rows, decided=findings.decided)
    script = (files("labelnoise.reports") / "templates/_fit.js").read_text("utf-8")
    page = render(
        "fit.html",
        findings=findings,
        audit=audit,
        n=n,
        wrong=round(n * audit.estimate.rate),
        flagged=int(audit.is_issue.sum()),
        percent=_percent,
        heat=_heat(audit),
        pairs=_pairs(audit),
        cards=shown,
        static=_STATIC,
        data=_script_safe(
            {"digest": _digest(audit), "classes": audit.class_names, "cards": [c._asdict() for c in shown]}
        ),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        curves=_curves(findings.candidates, findings.metrics["validation_labels"]),
        candidates=_candidates(findings),
        scores=None if findings.truth is None else _scores(audit, findings.truth),
        classes=_classes(findings),
        environment=[(name, value) for name, value in findings.environment.items() if value is not None],
    )
    return _NO_CHARACTERS.sub("\ufffd", page)


def _script_safe(value: object) -> str:
    """JSON in which no tag can begin, so that nothing in it ends the script element.

    >>> print(_script_safe("</script>"))
    "\\u003c/script>"
    """
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def _digest(audit: Audit) -> str:
    """What decisions belong to: those about another audit are not taken up."""
    digest = hashlib.sha256("\0".join(audit.class_names).encode(errors="surrogatepass"))
    for column in (audit.index, audit.given, audit.suggested, audit.p_wrong):
        digest.update(np.ascontiguousarray(column).data)
    return digest.hexdigest()[:16]


def _percent(fraction: float | None, digits: int = 1) -> str:
    return "–" if fraction is None or math.isnan(fraction) else f"{100 * fraction:.{digits}f}\N{NO-BREAK SPACE}%"


def _errors(audit: Audit) -> np.ndarray:
    """The expected number of wrong labels by true and given class."""
    return audit.joint * ~np.eye(len(audit.joint), dtype=bool)


def _heat(audit: Audit) -> Heat:
    """Of all classes, or of those with most expected errors."""
    errors = _errors(audit)
    some = np.sort(np.argsort(-(errors.sum(0) + errors.sum(1)), kind="stable")[:_HEAT])
    share = audit.transition[np.ix_(some, some)]
    shade = share * ~np.eye(len(some), dtype=bool)
    return Heat(
        names=[audit.class_names[row] for row in some],
        percent=(100 * share).tolist(),
        shade=(shade / max(shade.max(), 1e-9)).tolist(),
    )


def _pairs(audit: Audit) -> Table:
    """The pairs of classes with most expected errors, as far as a label each is expected."""
    errors, names = _errors(audit), audit.class_names
    worst = np.argsort(-errors, axis=None, kind="stable")[:_PAIRS]
    rows = [
        [names[true], names[given], f"{errors[true, given]:,.0f}", _percent(errors[true, given] / errors.sum())]
        for true, given in (divmod(int(cell), len(names)) for cell in worst)
        if errors[true, given] >= 0.5
    ]
    return Table(["true label", "given label", "expected labels", "of all errors"], rows)


def _curves(candidates: list[Candidate], validation_labels: str) -> list[str]:
    """Accuracy by epoch, the best epoch marked: on validation labels, and on the test set where there is one."""

    def panel(field: str, title: str) -> str:
        def draw(ax: Axes) -> None:
            lines: list[Any] = []
            for colour, candidate in zip(cycle(_COLOURS), candidates, strict=False):
                by_epoch = {metrics.epoch: 100 * getattr(metrics, field) for metrics in candidate.history}
                lines += ax.plot(list(by_epoch), list(by_epoch.values()), color=colour)
                ax.plot(candidate.best_epoch, by_epoch[candidate.best_epoch], "o", color=colour, markersize=5)
            names = [name if len(name) <= 40 else f"…{name[-39:]}" for name in (c.name for c in candidates)]  # paths
            # Given one by one, a name may begin with "_"; escaped, a "$" begins no formula.
            ax.legend(lines, [name.replace("$", r"\$") for name in names])
            ax.set(title=title, xlabel="epoch", ylabel="accuracy, %")

        return _svg(f"fit-{field}", draw)

    panels = [panel("validation_accuracy", f"against {validation_labels} validation labels")]
    if not all(math.isnan(metrics.test_accuracy) for candidate in candidates for metrics in candidate.history):
        panels.append(panel("test_accuracy", "on the test set, which chooses nothing"))
    return panels


def _candidates(findings: FitFindings) -> Table:
    head = ["", "validation accuracy", "best epoch"]
    rows = [
        [
            candidate.name,
            f"{_percent(candidate.validation_accuracy)} ± {100 * candidate.standard_error:.1f}",
            str(candidate.best_epoch),
        ]
        for candidate in findings.candidates
    ]
    if any(candidate.test_accuracy_best is not None for candidate in findings.candidates):
        head += ["test, best epoch", "test, last epoch"]
        for row, candidate in zip(rows, findings.candidates, strict=True):
            row += [_percent(candidate.test_accuracy_best), _percent(candidate.test_accuracy_last)]
    return Table(head, rows)


def _scores(audit: Audit, truth: np.ndarray) -> DetectionScores:
    return detection_scores(audit.p_wrong, audit.is_issue, audit.given != truth)


def _classes(findings: FitFindings) -> Table:
    """A row a given class, the one with most expected errors first."""
    audit, names = findings.audit, findings.audit.class_names

    def count(weights: np.ndarray) -> np.ndarray:
        return np.bincount(audit.given, weights=weights, minlength=len(names))

    def share(part: np.ndarray, whole: np.ndarray) -> list[str]:
        return [_percent(some / all_ if all_ else None) for some, all_ in zip(part, whole, strict=True)]

    given, errors, flagged = count(np.ones(len(audit.given))), count(audit.p_wrong), count(audit.is_issue)
    columns = {
        "given label": list(names),
        "labels": [f"{number:,.0f}" for number in given],
        "expected errors": [f"{number:,.0f}" for number in errors],
        "share": share(errors, given),
        "flagged": [f"{number:,.0f}" for number in flagged],
    }
    if recall := findings.metrics.get("recall_per_class"):
        columns["recall of the model"] = [_percent(recall.get(name)) for name in names]
    if findings.truth is not None:
        wrong = audit.given != findings.truth
        found = count(wrong & audit.is_issue)
        columns["flagged that are wrong"] = share(found, flagged)
        columns["wrong that are flagged"] = share(found, count(wrong))
    order = np.argsort(-errors, kind="stable")
    return Table(list(columns), [[column[row] for column in columns.values()] for row in order])
