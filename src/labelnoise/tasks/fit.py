"""A robust model of the user's own data, and the list of its wrong labels."""

import hashlib
import shlex
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from labelnoise import _registry, objectives
from labelnoise._plugin import is_plugin, load_plugin
from labelnoise.audit.readings import Assume
from labelnoise.datasets._own import Columns, OwnData, read_own
from labelnoise.datasets._own_images import decode_images
from labelnoise.datasets._table_file import read_labels
from labelnoise.features import TableFeatures
from labelnoise.fitting import (
    CANDIDATES,
    Fitted,
    Plan,
    Prepared,
    Request,
    SavedModel,
    TrainingRecipe,
    Work,
    build_network,
    build_objective,
    default_recipe,
    fit_candidates,
    make_plan,
    parse_budget,
    prepare,
)
from labelnoise.metrics import classification_scores
from labelnoise.reports import Candidate, FitFindings, Shown, fit_page
from labelnoise.runs import FitFolder, Part, environment
from labelnoise.tasks._audit_folder import SOURCE, source_of
from labelnoise.testing import check_loss
from labelnoise.training import open_progress

_THUMBNAIL = 128  # pixels
_TEST = ("test_accuracy_best", "test_accuracy_last")
_FEATURES_SHOWN = 12


class FitResult(NamedTuple):
    """What a fit came to."""

    out: Path
    metrics: dict[str, Any]
    """As in ``metrics.json``."""
    summary: dict[str, Any]
    """As in ``summary.json``."""


def fit(
    data: Path | str,
    *,
    out: Path | str,
    label: str | None = None,
    text: str | None = None,
    image: str | None = None,
    root: Path | str | None = None,
    labels: Path | str | None = None,
    id: str | None = None,
    numeric: Sequence[str] = (),
    categorical: Sequence[str] = (),
    ignore: Sequence[str] = (),
    test: Path | str | None = None,
    trusted: Path | str | None = None,
    truth: Path | str | None = None,
    model: str = "auto",
    loss: str = "auto",
    budget: str | None = None,
    epochs: int | None = None,
    refine: bool | None = None,
    folds: int = 0,
    balanced: bool = False,
    assume: Assume = "auto",
    max_false_flags: float | None = None,
    image_size: int = 32,
    seed: int = 0,
    device: str = "auto",
    workers: int = 2,
    overwrite: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> FitResult:
    """Train a classifier on labels some of which are wrong, and say which; results lie in the folder ``out``.

    Args:
        data: a table (``.csv``, ``.jsonl``, ``.parquet``), a folder of images with one subfolder a class, an ``.npz``
            with ``labels`` and ``features`` (n, d) or ``images``, or an ``.npy`` of features.
        out: new, or of the same fit, which goes on where it was or, if it is finished, is left as it is.
        label: a table's column of labels.
        text: a table's column of texts; without it and ``image``, all other columns are features.
        image: a table's column of image paths, from ``root`` on, which is by default the table's folder.
        root: see ``image``.
        labels: ``.npy`` of the labels of an ``.npy``.
        id: a table's column that names its rows for people.
        numeric, categorical: feature columns that are not what their type suggests.
        ignore: columns that are no features.
        test: data of the same kind with right labels; nothing is chosen by them.
        trusted: rows that somebody has checked: a file of the same kind, or decisions on rows of ``data`` as the
            report and :func:`labelnoise.review` write them. They are never doubted, and choose the model instead of
            noisy validation.
        truth: CSV with a column ``true_label``, as ``labelnoise noise`` writes it, for scores in the report only.
        model: a registered network, the user's own ``FILE.py:factory`` or ``module:factory``, called as
            ``factory(input_shape=.., num_classes=..)``, or ``"auto"``: an MLP, or for images a ResNet-8 on a CPU and a
            ResNet-18 elsewhere.
        loss: ``"auto"`` chooses among ``gce``, ``cce`` and ``pruned_gce`` by noisy validation; or any registered loss,
            or the user's own ``FILE.py:Loss``, a module like ``nn.CrossEntropyLoss``.
        budget: such as ``"10m"``, the default on a CPU, or ``"none"``: how long it may take; it decides on epochs and
            candidates.
        epochs: of each training, whatever the budget says of them.
        refine: train again without the flagged rows, and keep the better of the two; ``None`` if the budget allows.
        folds: audit by so many-fold cross-validation of the chosen loss; 0 for by its one run.
        balanced: choose by the mean recall of the classes instead of the accuracy.
        assume, max_false_flags: as of :func:`labelnoise.audit.audit_labels`.
        image_size: side in pixels that image files are brought to.
        seed: of all randomness.
        device: ``"cpu"``, ``"cuda"``, ``"mps"`` or ``"auto"``.
        workers: candidates trained at a time, each on one thread; 1 on an accelerator.
        overwrite: replace a fit with other settings.
        tell: told in a sentence what is going on.

    Raises:
        ValueError: data that cannot be used, settings that do not fit, or an ``out`` that holds something else.
        ChildProcessError: a worker was killed; the same call goes on.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     data = Path(folder) / "pets.csv"
        ...     _ = data.write_text("text,animal\\n" + "it purrs,cat\\nit barks,dog\\n" * 50)
        ...     found = fit(data, label="animal", text="text", out=Path(folder) / "fit", epochs=5)
        ...     found.metrics["validation_accuracy"], found.summary["num_issues"]
        (1.0, 0)
    """
    start = time.perf_counter()
    device = _device(device)
    workers = workers if device == "cpu" else 1
    candidates = CANDIDATES if loss == "auto" else (Part(name=loss),)
    limit = parse_budget(budget or ("10m" if device == "cpu" else "none"))
    for name, value, least in (("epochs", epochs, 1), ("folds", folds, 0), ("workers", workers, 1)):
        if value is not None and (value < least or (name, value) == ("folds", 1)):
            raise ValueError(f"{name} must be {'0 or 2 and more' if name == 'folds' else 'at least 1'}, got {value}")
    columns = Columns(label, text, image, _path(root), tuple(numeric), tuple(categorical), tuple(ignore), id)
    folder = FitFolder(Path(out))
    request = Request(
        Path(data), columns, _path(labels), _path(test), _path(trusted), image_size, seed=seed, cache=folder.work
    )
    settings = _identity(request, truth=_path(truth)) | {
        "model": _code(model),
        "loss": _code(loss),
        "budget": limit,
        "epochs": epochs,
        "refine": refine,
        "folds": folds,
        "balanced": balanced,
        "assume": assume,
        "max_false_flags": max_false_flags,
        "device": device,
    }
    begun = folder.open(settings, overwrite=overwrite)
    if folder.is_finished:
        tell(f"{out} holds this fit already: there is nothing to do.")
        return FitResult(folder.path, folder.read_json("metrics.json"), folder.read_json("summary.json"))
    prepared = prepare(request)
    _check_loss(loss, prepared)
    if begun is None:
        plan = make_plan(
            prepared,
            default_recipe(prepared.own.kind, model, samples=len(prepared.training.labels), device=device),
            candidates,
            budget=limit,
            epochs=epochs,
            refine=refine,
            folds=folds,
            workers=workers,
            device=device,
        )
        folder.begin(settings, plan.model_dump(mode="json"))
    else:
        plan = Plan.model_validate(begun)
    for line in [*_facts(prepared, plan.recipe), _announced(plan, limit, folds)]:
        tell(": ".join(line))

    work = Work(request, plan.recipe, plan.epochs, balanced, device, folder.work)
    with open_progress() as progress:
        bar = progress.add_task("training", total=plan.epochs * (len(plan.candidates) + plan.refine + folds))
        fitted = fit_candidates(
            prepared,
            work,
            plan,
            folds=folds,
            assume=assume,
            max_false_flags=max_false_flags,
            workers=workers,
            on_progress=lambda epochs: progress.update(bar, completed=epochs),
        )
    metrics = _metrics(prepared, fitted, balanced=balanced)
    summary = fitted.audit.summary()
    _save_model(prepared, fitted, plan.recipe, columns, folder.path)
    folder.write("labels.csv", fitted.audit.to_csv())
    folder.write_json("summary.json", summary)
    folder.write_json(SOURCE, source_of(request.data, labels=request.labels, column=label))
    facts = [*_facts(prepared, plan.recipe), *_spent(plan, time.perf_counter() - start)]
    findings = _findings(prepared, fitted, metrics, facts, Path(data).name, truth=_path(truth))
    folder.write("report.html", fit_page(findings))
    folder.finish(metrics)
    return FitResult(folder.path, metrics, summary)


def _device(device: str) -> str:
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def _path(path: Path | str | None) -> Path | None:
    return None if path is None else Path(path)


def _code(name: str) -> list[str]:
    """What a name stands for, in the identity of a fit: of the user's own code the source too."""
    return [name, load_plugin(name).sha256] if is_plugin(name) else [name]


def _identity(request: Request, *, truth: Path | None) -> dict[str, Any]:
    """What the data and the way they are read add to the identity of a fit: contents, no paths."""

    def content(path: Path | None) -> str | None:
        if path is None:
            return None
        if path.is_dir():
            return read_own(path, few=True).checksum
        if not path.is_file():
            raise ValueError(f"there is no file {path}")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    own = read_own(request.data, request.columns, labels=request.labels)
    return {
        "data": own.checksum,
        "test": content(request.test),
        "trusted": content(request.trusted),
        "truth": content(truth),
        "columns": [list(part) if isinstance(part, tuple) else part for part in request.columns._replace(root=None)],
        "image_size": request.image_size,
        "seed": request.seed,
    }


def _check_loss(loss: str, prepared: Prepared) -> None:
    """Refuse a loss before anything is trained with it."""
    if loss == "auto":
        return
    if is_plugin(loss):
        try:
            check_loss(load_plugin(loss).value(reduction="none"), num_classes=max(len(prepared.class_names), 3))
        except (AssertionError, TypeError) as error:
            raise ValueError(f"loss {loss} does not keep the contract of a loss: {error}") from None
        return
    _registry.check_name("loss", loss, ["auto", *objectives.names()])
    try:
        build_objective(Part(name=loss), epochs=2, num_samples=1, class_names=prepared.class_names)
    except TypeError:
        raise ValueError(f"loss {loss} needs settings that only you know; give a FILE.py:Loss that makes it") from None


def _facts(prepared: Prepared, recipe: TrainingRecipe) -> list[tuple[str, str]]:
    """What was read, and what is made of it."""
    own, training, validation = prepared.own, len(prepared.training.labels), len(prepared.validation.labels)
    held = "checked" if prepared.validation.index.min() < 0 or len(prepared.trusted) else "held out"
    facts = [
        ("Data", f"{len(own.ids):,} rows ({own.kind}), {len(prepared.class_names):,} classes"),
        ("Split", f"{training:,} to train on, {validation:,} {held} to choose by"),
    ]
    if isinstance(prepared.transform, TableFeatures):
        uses = prepared.transform.columns
        for kind in dict.fromkeys(use.kind for use in uses):
            named = [f"{use.name} ({use.why})" if kind == "dropped" else use.name for use in uses if use.kind == kind]
            facts.append((f"{kind.capitalize()} columns", ", ".join(named)))
    shape = " x ".join(str(size) for size in prepared.training.inputs.shape[1:])
    facts.append(("Model", f"{recipe.model.label}, on inputs of {shape}, batches of {recipe.batch_size}"))
    return facts


def _announced(plan: Plan, limit: float | None, folds: int) -> tuple[str, str]:
    trained = f"{len(plan.candidates)} candidate{'s' if len(plan.candidates) > 1 else ''}"
    more = [*(["once more without the flagged rows"] if plan.refine else []), *([f"{folds} folds"] if folds else [])]
    budget = "" if limit is None else f" of a budget of {_minutes(limit)}"
    also = f", then {' and '.join(more)}" if more else ""
    return "Plan", f"{trained} for {plan.epochs} epochs each{also}, about {_minutes(plan.seconds)}{budget}"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds >= 90 else f"{seconds:.0f} s"


def _spent(plan: Plan, seconds: float) -> list[tuple[str, str]]:
    return [("Time", f"{_minutes(seconds)}, estimated {_minutes(plan.seconds)}"), ("Epochs", str(plan.epochs))]


def _metrics(prepared: Prepared, fitted: Fitted, *, balanced: bool) -> dict[str, Any]:
    """Of the model that is kept, on the validation labels; and all candidates."""
    kept, validation = fitted.trained[fitted.chosen], prepared.validation
    scores = classification_scores(kept.validation.argmax(1), validation.labels, len(prepared.class_names))
    tested = {} if kept.test_accuracy is None else dict(zip(_TEST, kept.test_accuracy, strict=True))
    return {
        "loss": fitted.names[fitted.chosen],
        "best_epoch": kept.best_epoch,
        "selected_by": "balanced_accuracy" if balanced else "accuracy",
        "validation_samples": len(validation.labels),
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


def _save_model(prepared: Prepared, fitted: Fitted, recipe: TrainingRecipe, columns: Columns, path: Path) -> None:
    shape, kept = tuple(prepared.training.inputs.shape[1:]), fitted.trained[fitted.chosen]
    images = prepared.training.inputs if prepared.own.kind == "image" else None
    network = build_network(recipe.model, shape, len(prepared.class_names), images=images)
    network.load_state_dict(kept.state)
    SavedModel(prepared.own.kind, columns, prepared.class_names, shape, recipe.model, prepared.transform, network).save(
        path
    )


def _findings(
    prepared: Prepared,
    fitted: Fitted,
    metrics: dict[str, Any],
    facts: list[tuple[str, str]],
    title: str,
    *,
    truth: Path | None,
) -> FitFindings:
    """What the report says."""
    true = None
    if truth is not None:
        names = {name: number for number, name in enumerate(prepared.class_names)}
        true = np.array([names.get(label, -1) for label in read_labels(truth, "true_label", few=True).labels])
        if len(true) != len(prepared.given):
            raise ValueError(f"truth must have a row for each of {len(prepared.given):,} rows, got {len(true):,}")
    return FitFindings(
        title=title,
        command=f"labelnoise fit {shlex.quote(title)}",
        audit=fitted.audit,
        ids=prepared.own.ids,
        show=lambda row: _shown(prepared.own, row),
        candidates=_candidates(fitted),
        chosen=fitted.chosen,
        reasons=fitted.reasons,
        metrics=metrics,
        facts=facts,
        environment=environment(),
        truth=true,
    )


def _shown(own: OwnData, row: int) -> Shown:
    """A row as a person sees it."""
    inputs: Any = own.inputs
    if own.kind == "text":
        return Shown(None, inputs[row])
    if own.kind == "image":
        is_file = isinstance(inputs, tuple)
        return Shown(decode_images([inputs[row]], size=_THUMBNAIL, channels=3)[0] if is_file else inputs[row], "")
    if own.kind == "table":
        values = inputs.slice(row, 1).to_pylist()[0]
        return Shown(None, "\n".join(f"{name}: {value}" for name, value in values.items()))
    return Shown(None, ", ".join(f"{value:.3g}" for value in inputs[row, :_FEATURES_SHOWN].tolist()))
