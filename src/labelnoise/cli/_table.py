"""The tables that studies and fits print."""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Column, Table

from labelnoise.reports import Summary


def print_summaries(summaries: Sequence[Summary]) -> None:
    """Mean and spread over the seeds, in percent."""
    names = ("noise", "loss", "best\nepoch", "last\nepoch", "errors\nfound", "flags\nright")
    seeds = " to ".join(str(count) for count in sorted({row.seeds for row in summaries}))
    title = f"Test accuracy at best and last epoch, %, mean ± std; seeds: {seeds}"
    columns = (Column(name, no_wrap=name != "noise") for name in names)
    table = Table(*columns, title=title, box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for row, following in zip(summaries, [*summaries[1:], None], strict=True):
        values = (value.percent() for value in (row.best, row.last, row.recall, row.precision))
        ends = following is None or (following.problem, following.rate) != (row.problem, row.rate)
        table.add_row(f"{row.problem} {row.rate:.0%}", row.loss, *values, end_section=ends)
    Console(markup=False).print(table)


def print_candidates(metrics: dict[str, Any]) -> None:
    """What was tried, and what the validation labels and the test labels say of it, in percent."""
    rows = metrics["candidates"]
    tested = any(row["test_accuracy_best"] is not None for row in rows)
    names = ("", "loss", "best\nepoch", "validation", *(("test,\nbest", "test,\nlast") if tested else ()))
    title = f"Validation {metrics['selected_by'].replace('_', ' ')} ± standard error, %"
    columns = (Column(name, no_wrap=True) for name in names)
    table = Table(*columns, title=title, box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for row in rows:
        mark = "→" if row["name"] == metrics["loss"] else ""
        chosen_by = f"{100 * row['validation_accuracy']:.1f} ± {100 * row['standard_error']:.1f}"
        tests = (f"{100 * row[f'test_accuracy_{epoch}']:.1f}" for epoch in (("best", "last") if tested else ()))
        table.add_row(mark, row["name"], str(row["best_epoch"]), chosen_by, *tests)
    Console(markup=False).print(table)
