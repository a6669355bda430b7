"""``labelnoise predict``."""

from pathlib import Path
from typing import Annotated

import typer


def predict(
    fitted: Annotated[Path, typer.Argument(help="Folder of a finished fit.")],
    data: Annotated[Path, typer.Argument(help="New data of the same kind, labelled or not.")],
    out: Annotated[Path, typer.Option(help="CSV file: index,id,label,probability.")],
    root: Annotated[Path | None, typer.Option(help="Where image paths of a table start.")] = None,
    model: Annotated[str | None, typer.Option(help="Your own network again, if it was fitted with one.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, mps or auto.")] = "cpu",
) -> None:
    """Predict the labels of new data by a fitted model."""
    from labelnoise.tasks import predict as task

    found = task(fitted, data, out=out, root=root, model=model, device=device)
    typer.echo(f"{len(found.labels):,} rows predicted: {out}", err=True)  # out may be /dev/stdout
