"""A progress bar with time left."""

import contextlib
from collections.abc import Callable, Generator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


def open_progress() -> Progress:
    """A rich progress display on stderr: what, how far, time spent and time left."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True))


@contextlib.contextmanager
def progress_bar(description: str, total: int) -> Generator[Callable[..., None]]:
    """Show a bar of ``total`` steps; each call of what is yielded, whatever its arguments, advances it.

    >>> with progress_bar("training", total=2) as advance:
    ...     advance()
    ...     advance()
    """
    with open_progress() as progress:
        task = progress.add_task(description, total=total)
        yield lambda *_: progress.advance(task)
