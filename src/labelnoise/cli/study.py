"""``labelnoise study``: run, status, report."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

study = typer.Typer(help="Compare losses under label noise: a recipe, its runs, its report.", no_args_is_help=True)

Out = Annotated[Path, typer.Argument(help="The study's folder.")]
DataDir = Annotated[
    Path | None, typer.Option(envvar="LABELNOISE_DATA", help="Folder the data sets lie in; see `labelnoise data`.")
]


@study.command()
def run(
    recipe: Annotated[str, typer.Argument(help="A packaged recipe, such as clinc150, or a TOML file.")],
    out: Annotated[Path, typer.Option(help="Folder of the study; run again to go on.")],
    workers: Annotated[int, typer.Option(min=1, help="Processes of one thread each.")] = 2,
    change: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE over the recipe, such as seeds=3.")
    ] = None,
    only: Annotated[str, typer.Option(help="Such as loss=gce,rate=0.4 or 'loss=gce q=0.7'.")] = "",
    data_dir: DataDir = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, mps, or auto: an accelerator where there is one.")] = "cpu",
) -> None:
    """Run a recipe, or what is left of it."""
    from labelnoise.cli._table import print_summaries
    from labelnoise.tasks import study as task

    _set_data_dir(data_dir)
    print_summaries(task.run(recipe, out, workers=workers, changes=_changes(change or []), only=only, device=device))
    typer.echo(f"Report: {out / 'report.html'}")


@study.command()
def status(
    out: Out, as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False, data_dir: DataDir = None
) -> None:
    """How far a study is."""
    from labelnoise.tasks import study as task

    _set_data_dir(data_dir)
    counts = task.status(out)._asdict()
    typer.echo(json.dumps(counts) if as_json else ", ".join(f"{value} {name}" for name, value in counts.items()))


@study.command()
def report(out: Out, data_dir: DataDir = None) -> None:
    """Write the report of what is finished."""
    from labelnoise.cli._table import print_summaries
    from labelnoise.tasks import study as task

    _set_data_dir(data_dir)
    print_summaries(task.report(out))
    typer.echo(f"Report: {out / 'report.html'}")


@study.command()
def check(out: Out, data_dir: DataDir = None) -> None:
    """Do one run of a recorded study again, drawn at random, and compare."""
    from labelnoise.tasks import reproduce as task

    _set_data_dir(data_dir)
    done = task.check(out)
    config, accuracies = done.run.config, [run.metrics["test_accuracy_last"] for run in (done.run, done.again)]
    typer.echo(
        f"{config.run_id} ({config.dataset.label}, {config.noise.name} {config.rate}, {config.loss.label}, seed "
        f"{config.seed}): test accuracy at the last epoch {accuracies[0]:.4f} as recorded, {accuracies[1]:.4f} now; "
        + (
            "the same machine type and versions"
            if done.same_machine
            else f"another machine, {done.allowed:.4f} allowed"
        )
    )
    if not done.passed:
        raise ChildProcessError(f"{out} does not reproduce")


def _set_data_dir(data_dir: Path | None) -> None:
    if data_dir is not None:
        os.environ["LABELNOISE_DATA"] = str(data_dir.absolute())  # the workers inherit it


def _changes(clauses: list[str]) -> dict[str, object]:
    from labelnoise.tasks import study as task

    changes: dict[str, object] = {}
    for clause in clauses:
        name, equals, value = clause.partition("=")
        if not equals:
            raise ValueError(f"--set takes NAME=VALUE, got {clause!r}")
        changes[name] = task.parse_value(value)
    return changes
