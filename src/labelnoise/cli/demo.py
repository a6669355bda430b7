"""``labelnoise demo``."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the report and the results.")] = Path("labelnoise-demo"),
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds.")] = 5,
) -> None:
    """Train digits with wrong labels by four losses, and find the wrong labels. Under a minute."""
    from rich.console import Console
    from rich.table import Table

    from labelnoise.tasks import demo as task

    result = task(out, seeds=seeds)
    table = Table(
        "labels wrong", "loss", "best epoch, %", "last epoch, %", "errors found, %", "flags right, %",
        title=f"Test accuracy, mean ± std over {seeds} seeds; learning rate {result.learning_rate}",
    )  # fmt: skip
    for row in result.summaries:
        table.add_row(
            f"{row.rate:.0%}",
            row.loss,
            row.best.percent(),
            row.last.percent(),
            row.recall.percent(),
            row.precision.percent(),
            end_section=row.loss == result.summaries[-1].loss,
        )
    Console().print(table)
    typer.echo(f"Report: {result.report}")
