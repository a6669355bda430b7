"""A progress bar with time left, for a run or for many."""

import contextlib
from collections.abc import Callable, Generator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@contextlib.contextmanager
def progress_bar(description: str, total: int) -> Generator[Callable[..., None]]:
    """Show a bar of ``total`` steps on stderr; each call of what is yielded, whatever its arguments, advances it.

    >>> with progress_bar("training", total=2) as advance:
    ...     advance()
    ...     advance()
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=False) as progress:
        task = progress.add_task(description, total=total)
        yield lambda *_: progress.advance(task)
