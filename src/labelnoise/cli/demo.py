"""``labelnoise demo``."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the report and the results.")] = Path("labelnoise-demo"),
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds.")] = 5,
) -> None:
    """Train digits with wrong labels by four losses, and find the wrong labels. Under a minute."""
    from labelnoise.cli._table import print_summaries
    from labelnoise.tasks import demo as task

    result = task(out, seeds=seeds)
    print_summaries(result.summaries)
    typer.echo(f"Learning rate of all, chosen by noisy validation: {result.learning_rate}")
    typer.echo(f"Report: {result.report}")
