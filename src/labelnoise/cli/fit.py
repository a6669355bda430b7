"""``labelnoise fit``."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from labelnoise.cli.audit import Assume


class Select(StrEnum):
    """What noisy validation is measured by."""

    accuracy = "accuracy"
    balanced = "balanced"


class Precision(StrEnum):
    """Of the arithmetic; the same words as :data:`labelnoise.training.Precision`, without importing torch."""

    auto = "auto"
    single = "32-true"
    mixed = "bf16-mixed"


def fit(
    data: Annotated[Path, typer.Argument(help="Table (.csv, .jsonl, .parquet), folder of images, .npz or .npy.")],
    out: Annotated[Path, typer.Option(help="Folder for model, labels.csv and report.html; run again to go on.")],
    label: Annotated[str | None, typer.Option(help="Label column of a table.")] = None,
    text: Annotated[
        str | None, typer.Option(help="Text column; without it and --image all others are features.")
    ] = None,
    image: Annotated[str | None, typer.Option(help="Column of image paths.")] = None,
    root: Annotated[Path | None, typer.Option(help="Where image paths start; default: the table's folder.")] = None,
    labels: Annotated[Path | None, typer.Option(help=".npy of labels, for features in .npy.")] = None,
    id: Annotated[str | None, typer.Option(help="Column that names the rows.")] = None,
    numeric: Annotated[list[str] | None, typer.Option(help="Feature that is a number; may be repeated.")] = None,
    categorical: Annotated[list[str] | None, typer.Option(help="Feature that is a category; may be repeated.")] = None,
    ignore: Annotated[list[str] | None, typer.Option(help="Column that is no feature; may be repeated.")] = None,
    test: Annotated[Path | None, typer.Option(help="Data of the same kind with right labels; chooses nothing.")] = None,
    trusted: Annotated[
        Path | None, typer.Option(help="Checked rows or a decisions.csv: never doubted; choose.")
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="NOISY.truth.csv of `labelnoise noise`: scores in the report.")
    ] = None,
    model: Annotated[
        str, typer.Option(help="auto, a registered network, your own FILE.py:factory, or an encoder's folder.")
    ] = "auto",
    loss: Annotated[str, typer.Option(help="auto, a registered loss but forward, or your own FILE.py:Loss.")] = "auto",
    budget: Annotated[str | None, typer.Option(help="Such as 90s, 10m (default on a CPU), 2h, none.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Of each training, whatever the budget.")] = None,
    refine: Annotated[
        bool | None,
        typer.Option(
            "--refine/--no-refine", help="Train again without the flagged rows.", show_default="if the budget allows"
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(help="Audit by so many folds; 0: by the one run.", show_default="5 below 500 rows, else 0"),
    ] = None,
    select: Annotated[Select, typer.Option(help="balanced: every class counts the same.")] = Select.accuracy,
    assume: Annotated[Assume, typer.Option(help="Whether noise depends on the class or on the sample.")] = Assume.auto,
    max_false_flags: Annotated[
        float | None, typer.Option(help="Flag so many that at most this fraction is expected to be right.")
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(
            help="Side in pixels that image files are brought to.", show_default="32, less where all are smaller"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of all randomness.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, mps or auto.")] = "auto",
    precision: Annotated[
        Precision, typer.Option(help="auto: bfloat16 for images where the device gains by it.")
    ] = Precision.auto,
    workers: Annotated[int, typer.Option(help="Candidates trained at a time on a CPU, one thread each.")] = 2,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a fit with other settings.")] = False,
) -> None:
    """Train a robust model on your own data, and list the labels that are probably wrong."""
    import warnings

    from labelnoise.audit import AuditWarning
    from labelnoise.cli._table import print_candidates
    from labelnoise.tasks import fit as task

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", AuditWarning)
        found = task(
            data,
            out=out,
            label=label,
            text=text,
            image=image,
            root=root,
            labels=labels,
            id=id,
            numeric=numeric or (),
            categorical=categorical or (),
            ignore=ignore or (),
            test=test,
            trusted=trusted,
            truth=truth,
            model=model,
            loss=loss,
            budget=budget,
            epochs=epochs,
            refine=refine,
            folds=folds,
            balanced=select is Select.balanced,
            assume=assume.value,
            max_false_flags=max_false_flags,
            image_size=image_size,
            seed=seed,
            device=device,
            precision=precision.value,
            workers=workers,
            overwrite=overwrite,
            tell=typer.echo,
        )
    for warning in caught:
        typer.echo(f"Warning: {warning.message}", err=True)
    print_candidates(found.metrics)
    for reason in found.metrics["reasons"]:
        typer.echo(reason)
    summary = found.summary
    typer.echo(
        f"{summary['estimated_error_rate']:.1%} of {summary['num_samples']:,} labels are estimated to be wrong, "
        f"between {summary['estimated_error_rate_low']:.1%} and {summary['estimated_error_rate_high']:.1%}; "
        f"{summary['num_issues']:,} are flagged."
    )
    typer.echo(f"Report: {out / 'report.html'}, labels: {out / 'labels.csv'}")
