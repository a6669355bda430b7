"""The command line: one short file a command, each importing its task only when it is called."""

import sqlite3
import sys
from typing import Annotated

import typer

from labelnoise import __version__
from labelnoise.cli.audit import audit
from labelnoise.cli.data import data
from labelnoise.cli.demo import demo
from labelnoise.cli.fit import fit
from labelnoise.cli.noise import noise
from labelnoise.cli.predict import predict
from labelnoise.cli.review import review
from labelnoise.cli.study import study

_INTERRUPTED = 130  # how typer ends on Ctrl-C
_RESUMABLE = ("demo", "fit", "study")

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command()(audit)
app.command()(demo)
app.command()(fit)
app.command()(noise)
app.command()(predict)
app.command()(review)
app.add_typer(study, name="study")
app.add_typer(data, name="data")


def _show_version(wanted: bool) -> bool:
    if wanted:
        typer.echo(f"labelnoise {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def labelnoise(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Train classifiers on data whose labels are partly wrong, and say which labels are wrong."""


def main() -> None:
    """Run the command line; what the user got wrong is one line and exit code 2; an interrupt says if it goes on."""
    try:
        app()
    except ValueError as error:
        typer.echo(f"labelnoise: {' '.join(str(error).split())}", err=True)
        raise SystemExit(2) from None
    except ChildProcessError as error:
        typer.echo(f"labelnoise: {error}", err=True)
        raise SystemExit(1) from None
    except (OSError, sqlite3.Error) as error:  # a full disk, a folder that may not be read
        typer.echo(f"labelnoise: {error}", err=True)
        raise SystemExit(2) from None
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            goes_on = sys.argv[1] in _RESUMABLE
            advice = "; the same command goes on from the last finished epoch" * goes_on
            typer.echo(f"labelnoise: interrupted{advice}", err=True)
        raise
