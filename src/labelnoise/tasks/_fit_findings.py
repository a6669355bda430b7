"""What a fit says of itself: before it starts, in its metrics, and in its report."""

import contextlib
import inspect
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from labelnoise._types import SparseRows
from labelnoise.datasets._own import OwnData
from labelnoise.datasets._own_images import decode_images
from labelnoise.datasets._table_file import read_labels
from labelnoise.features import TableFeatures
from labelnoise.fitting import Fitted, Plan, Prepared, TrainingRecipe
from labelnoise.fitting.cells import whole_number
from labelnoise.fitting.data import told_apart_by
from labelnoise.metrics import classification_scores
from labelnoise.reports import Candidate, FitFindings, Shown
from labelnoise.runs import environment

_THUMBNAIL = 128  # pixels
_FEATURES_SHOWN = 12
_CLASSES_SHOWN = 10
_LEAK, _ROWS_A_VALUE = 0.99, 10  # of a column that may be the label under another name
_TEST = ("test_accuracy_best", "test_accuracy_last")
_NO_PART_OF_THE_COMMAND = ("data", "tell")


def facts_of(prepared: Prepared, recipe: TrainingRecipe) -> list[tuple[str, str]]:
    """What was read, and what is made of it."""
    own, training, validation = prepared.own, len(prepared.training.labels), len(prepared.validation.labels)
    facts = [
        ("Data", f"{len(own.ids):,} rows ({own.kind}), {len(prepared.class_names):,} classes"),
        ("Split", f"{training:,} to train on, {validation:,} with {prepared.validation_labels} labels to choose by"),
    ]
    counts = Counter(own.labels)
    listed = ", ".join(f"{name[:100]} {count:,}" for name, count in counts.most_common(_CLASSES_SHOWN))
    more = len(counts) - _CLASSES_SHOWN
    facts.append(("Classes", listed + (f" and {more:,} more" if more > 0 else "")))
    for names in _alike(counts):
        facts.append(("Alike", f"the classes {' and '.join(map(repr, names))} differ in case or blanks alone"))
    if own.left_out:
        facts.append(("Left out", own.left_out))
    copies, contradicting = _copies(prepared)
    if copies:
        facts.append(
            ("Copies", f"{copies:,} rows repeat another's inputs, {contradicting:,} of them with another label")
        )
    if isinstance(prepared.whole.inputs, SparseRows) and (
        empty := int((prepared.whole.inputs.starts.diff() == 0).sum())
    ):
        facts.append(("Empty", f"{empty:,} texts without a word that others have too: nothing tells of their labels"))
    if isinstance(prepared.transform, TableFeatures):
        uses = prepared.transform.columns
        for kind in dict.fromkeys(use.kind for use in uses):
            alike = [(use.name or "(no name)", use.why) for use in uses if use.kind == kind]
            named = [f"{name} ({why})" if kind == "dropped" else name for name, why in alike]
            facts.append((f"{kind.capitalize()} columns", ", ".join(named)))
        table: Any = own.inputs
        for name in [use.name for use in uses if use.kind != "dropped"]:
            if (share := _told_by(table.column(name), own.labels or ())) > _LEAK:
                told = f"{name} alone tells {share:.1%} of the labels: if it was made from them, --ignore it"
                facts.append(("Leak?", told))
    shape = " x ".join(str(size) for size in prepared.training.inputs.shape[1:])
    made = f"{recipe.model.label}, on inputs of {shape}, batches of {recipe.batch_size}, {recipe.precision}"
    facts.append(("Model", made))
    return facts


def _alike(names: Iterable[str]) -> list[list[str]]:
    """Class names that a person would take for one."""
    groups: dict[str, list[str]] = {}
    for name in sorted(names):
        groups.setdefault(" ".join(name.split()).casefold(), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def _told_by(column: pa.ChunkedArray, labels: Sequence[str]) -> float:
    """The share of the labels that are the most frequent one for their cell; 0 where that says little."""
    cells: Any = column.combine_chunks()
    cells = cells if pa.types.is_dictionary(cells.type) else cells.dictionary_encode()
    if len(cells.dictionary) * _ROWS_A_VALUE > len(labels):
        return 0.0
    values = cells.indices.fill_null(len(cells.dictionary)).to_numpy()
    classes = np.unique(labels, return_inverse=True)[1]
    counts = np.zeros((len(cells.dictionary) + 1, classes.max() + 1))
    np.add.at(counts, (values, classes), 1)
    share, most = counts.max(1).sum() / len(labels), counts.sum(0).max() / len(labels)
    return share if 1 - share < (1 - most) / _ROWS_A_VALUE else 0.0


def _copies(prepared: Prepared) -> tuple[int, int]:
    """Rows whose inputs an earlier row has already, and those of them that are labelled otherwise."""
    whole = prepared.whole
    inputs = told_apart_by(prepared.own, whole.inputs, whole.index)
    first: dict[str | bytes, int] = {}
    earlier = [(first.setdefault(row, label), label) for row, label in zip(inputs, whole.labels.tolist(), strict=True)]
    return len(earlier) - len(first), sum(label != before for before, label in earlier)


def announced(plan: Plan, limit: float | None, folds: int) -> tuple[str, str]:
    trained = f"{len(plan.candidates)} candidate{'s' if len(plan.candidates) > 1 else ''}"
    more = [*(["once more without the flagged rows"] if plan.refine else []), *([f"{folds} folds"] if folds else [])]
    budget = "" if limit is None else f" of a budget of {_minutes(limit)}"
    also = f", then {' and '.join(more)}" if more else ""
    return "Plan", f"{trained} for {plan.epochs} epochs each{also}, about {_minutes(plan.seconds)}{budget}"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds >= 90 else f"{seconds:.0f} s"


def spent(plan: Plan, seconds: float) -> list[tuple[str, str]]:
    return [("Time", f"{_minutes(seconds)}, estimated {_minutes(plan.seconds)}"), ("Epochs", str(plan.epochs))]


def metrics_of(prepared: Prepared, fitted: Fitted, *, balanced: bool) -> dict[str, Any]:
    """Of the model that is kept, on the validation labels; and all candidates."""
    kept, validation = fitted.trained[fitted.chosen], prepared.validation
    scores = classification_scores(kept.validation.argmax(1), validation.labels, len(prepared.class_names))
    tested = {} if kept.test_accuracy is None else dict(zip(_TEST, kept.test_accuracy, strict=True))
    return {
        "loss": fitted.names[fitted.chosen],
        "best_epoch": kept.best_epoch,
        "selected_by": "balanced_accuracy" if balanced else "accuracy",
        "validation_samples": len(validation.labels),
        "validation_labels": prepared.validation_labels,
        "validation_accuracy": scores.accuracy,
        "balanced_accuracy": scores.balanced_accuracy,
        "macro_f1": scores.macro_f1,
        "recall_per_class": dict(zip(prepared.class_names, scores.recall_per_class, strict=True)),
        **tested,
        "candidates": [
            {name: value for name, value in candidate._asdict().items() if name != "history"}
            for candidate in _candidates(fitted)
        ],
        "reasons": fitted.reasons,
    }


def _candidates(fitted: Fitted) -> list[Candidate]:
    return [
        Candidate(
            name,
            score.accuracy,
            score.standard_error,
            trained.best_epoch,
            trained.history,
            *(trained.test_accuracy or (None, None)),
        )
        for name, trained, score in zip(fitted.names, fitted.trained, fitted.scores, strict=True)
    ]


def read_truth(truth: Path, prepared: Prepared) -> np.ndarray:
    """The true classes of all rows, -1 for one that no row has been given."""
    names = {name: number for number, name in enumerate(prepared.class_names)}
    index, labels = (read_labels(truth, column, few=True).labels for column in ("index", "true_label"))
    n, rows = len(prepared.given), [whole_number(truth, cell) for cell in index]
    if sorted(rows) != list(range(n)):
        times = Counter(rows)
        odd = next(row for row in (*range(n), *rows) if times[row] != 1 or not 0 <= row < n)
        raise ValueError(f"truth must have each index from 0 to {n - 1:,} once, got {odd:,} {times[odd]} times")
    true = np.empty(n, dtype=np.int64)
    true[rows] = [names.get(label, -1) for label in labels]
    return true


def command_of(function: Callable[..., Any], data: Path, given: Mapping[str, Any]) -> str:
    """The command line of a call of ``function``: the arguments that are not their defaults."""
    words = ["labelnoise", function.__name__, str(data)]
    for name, parameter in inspect.signature(function).parameters.items():
        value, option = given[name], f"--{name.replace('_', '-')}"
        if name in _NO_PART_OF_THE_COMMAND or value == parameter.default:
            continue
        if name == "balanced":
            words += ["--select", "balanced"]
        elif isinstance(value, bool):
            words.append(option if value else f"--no-{name}")
        else:
            words += [
                word for part in (value if isinstance(value, list | tuple) else [value]) for word in (option, str(part))
            ]
    return shlex.join(words)


def findings_of(
    prepared: Prepared,
    fitted: Fitted,
    metrics: dict[str, Any],
    facts: list[tuple[str, str]],
    *,
    title: str,
    command: str,
    truth: np.ndarray | None,
) -> FitFindings:
    """What the report says."""
    return FitFindings(
        title=title,
        command=command,
        audit=fitted.audit,
        ids=prepared.own.ids,
        show=lambda row: _shown(prepared.own, row),
        candidates=_candidates(fitted),
        chosen=fitted.chosen,
        reasons=fitted.reasons,
        metrics=metrics,
        facts=facts,
        environment=environment(),
        truth=truth,
        decided=frozenset(prepared.trusted.tolist()),
    )


def _text(value: pa.ChunkedArray) -> str:
    """Of a column of one row; nanoseconds are no Python value, and lists no text of Arrow's."""
    with contextlib.suppress(pa.ArrowException):
        value = value.cast(pa.large_string())
    return str(value[0].as_py())


def _shown(own: OwnData, row: int) -> Shown:
    """A row as a person sees it."""
    inputs: Any = own.inputs
    if own.kind == "text":
        return Shown(None, inputs[row])
    if own.kind == "image":
        is_file = isinstance(inputs, tuple)
        return Shown(decode_images([inputs[row]], size=_THUMBNAIL, channels=3)[0] if is_file else inputs[row], "")
    if own.kind == "table":
        values = zip(inputs.column_names, inputs.slice(row, 1).columns, strict=True)
        return Shown(None, "\n".join(f"{name}: {_text(value)}" for name, value in values))
    shown = ", ".join(f"{value:.3g}" for value in inputs[row, :_FEATURES_SHOWN].tolist())
    return Shown(None, shown if inputs.shape[1] <= _FEATURES_SHOWN else f"{shown}, … ({inputs.shape[1]:,} in all)")
