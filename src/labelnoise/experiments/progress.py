"""The progress of a study on the terminal."""

import contextlib
from collections.abc import Callable, Generator

from labelnoise.runs import Counts
from labelnoise.training.progress import open_progress


@contextlib.contextmanager
def study_progress() -> Generator[Callable[[Counts], None]]:
    """Show a bar of the runs known so far, with what is running, what failed, and the time left."""
    with open_progress() as progress:
        task = progress.add_task("runs", total=None)

        def show(counts: Counts) -> None:
            words = f"runs ({counts.running} running" + (f", {counts.failed} failed)" if counts.failed else ")")
            progress.update(task, completed=counts.done + counts.failed, total=sum(counts), description=words)

        yield show
