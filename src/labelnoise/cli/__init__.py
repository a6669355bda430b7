"""The command line: one short file a command, each importing its task only when it is called."""

import typer

from labelnoise.cli.demo import demo

app = typer.Typer(
    help="Train classifiers on data whose labels are partly wrong, and say which labels are wrong.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.callback()(lambda: None)  # keeps `demo` a command of its own while it is the only one
app.command()(demo)


def main() -> None:
    """Run the command line; what the user got wrong is one line and exit code 2, an interrupt says how to go on."""
    try:
        app()
    except ValueError as error:
        raise SystemExit(_fail(" ".join(str(error).split()), 2)) from None
    except KeyboardInterrupt:
        raise SystemExit(_fail("interrupted; the same command goes on from the last finished epoch", 130)) from None


def _fail(message: str, code: int) -> int:
    typer.echo(f"labelnoise: {message}", err=True)
    return code
