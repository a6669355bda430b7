"""A robust model of the user's own data, and the list of its wrong labels."""

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

import torch

from labelnoise import _registry, models, objectives
from labelnoise._plugin import is_plugin, load_plugin
from labelnoise.audit.readings import ASSUMPTIONS, Assume
from labelnoise.datasets._own import Columns, read_own
from labelnoise.features import Tokens
from labelnoise.fitting import (
    CANDIDATES,
    Fitted,
    Plan,
    Prepared,
    Request,
    SavedModel,
    TrainingRecipe,
    Work,
    as_learned,
    build_network,
    build_objective,
    default_recipe,
    encoder_recipe,
    fit_candidates,
    make_plan,
    parse_budget,
    prepare,
    read_other,
)
from labelnoise.fitting.trusted import read_decisions
from labelnoise.reports import fit_page
from labelnoise.runs import FitFolder, Part
from labelnoise.tasks._audit_folder import SOURCE, check_undecided, read_audit, source_of
from labelnoise.tasks._decisions import DECISIONS, Decision, decisions_csv, read_earlier
from labelnoise.tasks._fit_findings import (
    announced,
    command_of,
    facts_of,
    findings_of,
    metrics_of,
    read_truth,
    spent,
)
from labelnoise.testing import check_loss
from labelnoise.training import Precision, open_progress

_SIZES = 8, 1024  # of images: below, no network has layers for them; above, a mini-batch takes gigabytes

_FOLDS, _FEW_ROWS = 5, 500  # a run on few rows takes few steps before its best epoch, and its trajectory says little


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
    folds: int | None = None,
    balanced: bool = False,
    assume: Assume = "auto",
    max_false_flags: float | None = None,
    image_size: int | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
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
            noisy validation, decisions on fewer than 200 rows together with it.
        truth: CSV with columns ``index`` and ``true_label``, as ``labelnoise noise`` writes it, for scores in the
            report only.
        model: a registered network, the user's own ``FILE.py:factory`` or ``module:factory``, called as
            ``factory(input_shape=.., num_classes=..)``; for texts the folder of a transformers encoder (extra ``[hf]``,
            safetensors only); or ``"auto"``: an MLP, or for images a ResNet-8 on a CPU and below 9 pixels, a
            ResNet-18 elsewhere.
        loss: ``"auto"`` chooses among ``gce``, ``cce`` and ``pruned_gce`` by noisy validation; or any registered loss
            but ``forward``, or the user's own ``FILE.py:Loss``, a module like ``nn.CrossEntropyLoss``.
        budget: such as ``"10m"``, the default on a CPU, or ``"none"``: how long it may take; it decides on epochs and
            candidates.
        epochs: of each training, whatever the budget says of them.
        refine: train again without the flagged rows, and keep the better of the two; ``None`` if the budget allows.
        folds: audit by so many-fold cross-validation of the chosen loss; 0 for its one run; ``None`` for 5 where
            there are fewer than 500 rows, whose one run is too short to tell much, else 0.
        balanced: choose by the mean recall of the classes instead of the accuracy.
        assume, max_false_flags: as of :func:`labelnoise.audit.audit_labels`.
        image_size: side in pixels that image files are brought to; ``None`` for 32, or less where all are smaller.
        seed: of all randomness.
        device: ``"cpu"``, ``"cuda"``, ``"mps"`` or ``"auto"``.
        precision: ``"32-true"``, ``"bf16-mixed"`` or ``"auto"``: the second for images where the device gains by it.
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
    start, given = time.perf_counter(), dict(locals())
    device = _device(device)
    workers = workers if device == "cpu" else 1
    candidates = CANDIDATES if loss == "auto" else (Part(name=loss),)
    limit = parse_budget(budget or ("10m" if device == "cpu" else "none"))
    for name, value in (("epochs", epochs), ("workers", workers)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    if folds is not None and (folds < 0 or folds == 1):
        raise ValueError(f"folds must be 0 or at least 2, got {folds}")
    if image_size is not None and not _SIZES[0] <= image_size <= _SIZES[1]:
        raise ValueError(f"image_size must be within {_SIZES} pixels, got {image_size}")
    _registry.check_name("assume", assume, ASSUMPTIONS)
    _registry.check_name("precision", precision, ("auto", *get_args(Precision)))
    if max_false_flags is not None and not 0 <= max_false_flags < 1:
        raise ValueError(f"max_false_flags must be a fraction within [0, 1), got {max_false_flags}")
    columns = Columns(label, text, image, _path(root), tuple(numeric), tuple(categorical), tuple(ignore), id)
    folder = FitFolder(Path(out))
    request = Request(
        Path(data),
        columns,
        _path(labels),
        _path(test),
        _path(trusted),
        image_size,
        seed=seed,
        encoder=_encoder(model),
        cache=folder.work,
    )
    settings = _identity(request, truth=_path(truth)) | {
        "model": _code(model, request.encoder),
        "loss": _code(loss),
        "budget": limit,
        "epochs": epochs,
        "refine": refine,
        "folds": folds,
        "balanced": balanced,
        "assume": assume,
        "max_false_flags": max_false_flags,
        "device": device,
        "precision": precision,
    }
    with folder.open(settings, overwrite=overwrite) as begun:
        source = source_of(request.data, labels=request.labels, column=label)
        if folder.is_finished:
            if folder.read_json(SOURCE) != source:  # the data have moved, or a column has changed that is not used
                folder.write_json(SOURCE, source)
            tell(f"{out} holds this fit already: there is nothing to do.")
            return FitResult(folder.path, folder.read_json("metrics.json"), folder.read_json("summary.json"))
        if begun is None:
            check_undecided(folder.path)
        prepared = prepare(request, tell=tell)
        folds = _folds(folds, len(prepared.given) - len(prepared.trusted))
        true = None if truth is None else read_truth(Path(truth), prepared)
        _check_loss(loss, prepared)
        if begun is None:
            begun = make_plan(
                prepared,
                _recipe(model, prepared, device, precision),
                candidates,
                budget=limit,
                epochs=epochs,
                refine=refine,
                folds=folds,
                workers=workers,
                device=device,
            ).model_dump(mode="json")
            folder.begin(settings, begun)
        plan = Plan.model_validate(begun)
        facts = facts_of(prepared, plan.recipe)
        for line in [*facts, announced(plan, limit, folds)]:
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
        metrics = metrics_of(prepared, fitted, balanced=balanced)
        summary = fitted.audit.summary()
        _save_model(prepared, fitted, plan.recipe, columns, folder.path)
        folder.write("labels.csv", fitted.audit.to_csv())
        folder.write_json("summary.json", summary)
        folder.write_json(SOURCE, source)
        _keep_decisions(prepared, folder)
        facts += spent(plan, time.perf_counter() - start)
        command = command_of(fit, Path(data), given)
        findings = findings_of(prepared, fitted, metrics, facts, title=Path(data).name, command=command, truth=true)
        folder.write("report.html", fit_page(findings))
        folder.finish(metrics)
        return FitResult(folder.path, metrics, summary)


def _recipe(model: str, prepared: Prepared, device: str, precision: str) -> TrainingRecipe:
    if isinstance(prepared.transform, Tokens):
        recipe = encoder_recipe(Path(model).absolute(), prepared.transform.pad_id)
    else:
        samples, side = len(prepared.training.labels), min(prepared.training.inputs.shape[2:], default=32)
        recipe = default_recipe(prepared.own.kind, model, samples=samples, device=device, side=side)
    return recipe if precision == "auto" else recipe.model_copy(update={"precision": precision})


def _device(device: str) -> str:
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def _folds(folds: int | None, rows: int) -> int:
    if folds is None:
        return _FOLDS if _FOLDS <= rows < _FEW_ROWS else 0
    if folds > rows:
        raise ValueError(f"folds must be at most {rows:,}, the rows that are to be audited, got {folds}")
    return folds


def _path(path: Path | str | None) -> Path | None:
    return None if path is None else Path(path)


def _encoder(model: str) -> Path | None:
    """The folder of a pretrained encoder, which is no network of ours that happens to be called like a folder here."""
    is_folder = model not in ("auto", *models.names()) and Path(model).is_dir()
    return Path(model) if is_folder else None


def _code(name: str, folder: Path | None = None) -> list[str]:
    """What a name stands for, in the identity of a fit: the source of the user's own code, the files of a folder."""
    if folder is not None:
        files = sorted(path for path in folder.iterdir() if path.is_file())
        return [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    return [name, load_plugin(name).sha256] if is_plugin(name) else [name]


def _identity(request: Request, *, truth: Path | None) -> dict[str, Any]:
    """What the data and the way they are read add to the identity of a fit: contents, no paths."""

    def content(path: Path | None) -> str | None:
        return None if path is None else read_other(path, request.columns).checksum

    if truth is not None and not truth.is_file():
        raise ValueError(f"there is no file {truth}")
    own = read_own(request.data, request.columns, labels=request.labels)
    decided = request.trusted and read_decisions(request.trusted)
    # What was decided, and not its file: a fit writes the same in its own words beside the audit.
    rows = decided and sorted((row, made.label) for row, made in decided.items())
    return {
        "data": own.checksum,
        "test": content(request.test),
        "trusted": hashlib.sha256(repr(rows).encode()).hexdigest() if rows else content(request.trusted),
        "truth": None if truth is None else hashlib.sha256(truth.read_bytes()).hexdigest(),
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
            check_loss(load_plugin(loss).value(reduction="none"), num_classes=len(prepared.class_names))
            objective = build_objective(Part(name=loss), epochs=2, num_samples=1, class_names=prepared.class_names)
            objective(torch.zeros(1, len(prepared.class_names)), torch.tensor([0]), torch.tensor([0]))
        except Exception as error:  # it is the user's code
            raise ValueError(f"loss {loss} does not keep the contract of a loss: {error}") from None
        return
    _registry.check_name("loss", loss, ["auto", *objectives.names()])
    try:
        build_objective(Part(name=loss), epochs=2, num_samples=1, class_names=prepared.class_names)
    except ValueError as error:  # the forward correction's, which wants a matrix
        raise ValueError(f"{error}; give a FILE.py:Loss that makes it") from None


def _keep_decisions(prepared: Prepared, folder: FitFolder) -> None:
    """What ``trusted`` decided is decided for the next review too."""
    if not len(prepared.trusted):
        return
    audit = read_audit(folder.path)
    decided = read_earlier(folder.path / DECISIONS, audit)
    for row in prepared.trusted.tolist():
        label = prepared.class_names[int(prepared.given[row])]
        decided[row] = Decision("keep" if label == audit.rows[row].given else "relabel", label)
    folder.write(DECISIONS, decisions_csv(decided, audit).decode())


def _save_model(prepared: Prepared, fitted: Fitted, recipe: TrainingRecipe, columns: Columns, path: Path) -> None:
    shape, kept = tuple(prepared.training.inputs.shape[1:]), fitted.trained[fitted.chosen]
    images = prepared.training.inputs if prepared.own.kind == "image" else None
    network = build_network(recipe.model, shape, len(prepared.class_names), images=images)
    network.load_state_dict(kept.state)
    columns = as_learned(columns, prepared.transform)
    saved = SavedModel(
        prepared.own.kind, columns, prepared.class_names, shape, recipe.model, prepared.transform, network
    )
    saved.save(path)
