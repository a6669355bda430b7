"""``labelnoise data``."""

from pathlib import Path
from typing import Annotated

import typer

data = typer.Typer(help="List, verify and fetch data sets.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of a data set; `labelnoise data list` knows them.", show_default=False)]
DataDir = Annotated[
    Path | None,
    typer.Option(envvar="LABELNOISE_DATA", help="Folder all data sets lie in.", show_default=False),
]


@data.command("list")
def list_(data_dir: DataDir = None) -> None:
    """Every data set, and whether its files lie in the data folder."""
    from rich.console import Console
    from rich.table import Table

    from labelnoise.tasks.data import list_data

    table = Table(
        "name", "what", "files", title=f"Data sets in {data_dir}" if data_dir else "Data sets (no data folder)"
    )
    for status in list_data(data_dir):
        files = "missing" if status.files is None else "found" if status.files else "-"
        table.add_row(status.name, status.what, files)
    Console(markup=False).print(table)


@data.command()
def verify(name: Name, data_dir: DataDir = None) -> None:
    """Compare a data set with what was published: checksums where there are any, counts, shapes, class frequencies."""
    from labelnoise.tasks.data import verify_data

    verified = verify_data(name, root=data_dir)
    for file in verified.files:
        typer.echo(f"{file.path}: {file.verdict}")
    typer.echo(
        f"{name}: {verified.train:,} + {verified.test:,} samples, {verified.classes} classes, "
        f"counts and frequencies as published; {verified.wrong:.2%} of the training labels differ from the true ones"
    )


@data.command()
def fetch(name: Name, data_dir: DataDir = None) -> None:
    """Fetch a data set from its official address into the data folder; what is already there stays."""
    from labelnoise.tasks.data import fetch_data

    for path in fetch_data(name, root=data_dir):
        typer.echo(f"{path}")
