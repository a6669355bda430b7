"""``labelnoise review``."""

from pathlib import Path
from typing import Annotated

import typer


def review(
    folder: Annotated[Path, typer.Argument(help="Folder that `labelnoise fit` or `labelnoise audit` wrote.")],
    decisions: Annotated[
        Path | None, typer.Option(help="index,decision[,label] as the report downloads it; by default labels.csv.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The cleaned copy; by default FOLDER/cleaned, in the format of the data.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Where the data lie now, if they have moved.")] = None,
    sample: Annotated[
        int | None, typer.Option(help="Only draw so many rows at random, for an honest count of the wrong labels.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the sample.")] = 0,
) -> None:
    """Clean the data by your decisions: accept (the suggestion is right), keep (the label is) or relabel."""
    from labelnoise.tasks.review import draw_review_sample
    from labelnoise.tasks.review import review as review_folder

    if sample is not None:
        if decisions or out or data:
            raise ValueError("sample must be given without decisions, out and data: drawing it changes none of them")
        drawn = draw_review_sample(folder, size=sample, seed=seed)
        if drawn.is_new:
            typer.echo(f"{drawn.size:,} rows drawn at random: {drawn.path}")
            typer.echo(f"Decide each: keep, or relabel and the class in label; then run: labelnoise review {folder}")
        else:
            typer.echo(f"Nothing drawn: {drawn.path} is there, {drawn.open:,} of {drawn.size:,} rows are undecided.")
        return
    done = review_folder(folder, decisions=decisions, out=out, data=data)
    again = f" ({done.replaced:,} decided anew)" if done.replaced else ""
    counts = f"{done.changed:,} changed, {done.confirmed:,} confirmed, {done.undecided:,} undecided"
    typer.echo(f"{done.rows:,} labels: {counts}{again}")
    typer.echo(f"Cleaned copy: {done.out}, the rows you decided: {done.provenance}")
    typer.echo(f"All decisions so far: {done.decisions}")
    if done.sample is not None and (found := done.sample.estimate):
        typer.echo(
            f"By the random sample of {done.sample.size:,}, {found.rate:.1%} of all given labels are wrong, between "
            f"{found.low:.1%} and {found.high:.1%} (95 %)."
        )
    elif done.sample is not None:
        typer.echo(
            f"Random sample: {done.sample.open:,} of {done.sample.size:,} rows in {done.sample.path} are undecided; it "
            "is counted when none is, as rows left open are mostly the hard ones."
        )
