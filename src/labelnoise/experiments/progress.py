"""The progress of a study on the terminal."""

import contextlib
from collections import Counter
from collections.abc import Callable, Generator, Sequence

from rich import box
from rich.console import Group
from rich.live import Live
from rich.table import Table

from labelnoise.runs import RunState, problem_names, short_names
from labelnoise.training.progress import open_progress


@contextlib.contextmanager
def study_progress() -> Generator[Callable[[Sequence[RunState]], None]]:
    """Show noise by loss with how many runs are done, and a bar with the time left."""
    progress = open_progress()
    task = progress.add_task("runs", total=None)
    with Live(progress, console=progress.console, refresh_per_second=2) as live:

        def show(states: Sequence[RunState]) -> None:
            finished = sum(state in ("done", "failed") for _, state in states)
            progress.update(task, completed=finished, total=len(states))
            live.update(Group(progress_table(states), progress))

        try:
            yield show
        finally:
            live.stop()
            if not progress.console.is_interactive:  # else an error begins in the line of the bar
                progress.console.print()


def progress_table(states: Sequence[RunState]) -> Table:
    """A row a noise rate, a column a loss; a cell says such as ``3/5, 2 running``."""
    losses = short_names(config.loss for config, _ in states)
    problems = problem_names([config for config, _ in states])
    cells: dict[str, dict[str, Counter[str]]] = {}
    for config, state in states:
        row = cells.setdefault(f"{problems[config.problem]} {config.rate:.0%}", {})
        row.setdefault(config.loss.label, Counter())[state] += 1
    precision = "precision " + ", ".join(sorted({config.precision for config, _ in states}))
    table = Table("runs done", *losses.values(), box=box.SIMPLE_HEAD, caption=precision)
    for noise, row in cells.items():
        table.add_row(noise, *(_cell(row[label]) if label in row else "" for label in losses))
    return table


def _cell(counts: Counter[str]) -> str:
    others = [f"{counts[state]} {state}" for state in ("running", "failed") if counts[state]]
    return ", ".join([f"{counts['done']}/{counts.total()}", *others])
