"""Studies on disk: run a recipe, see how far it is, write its results."""

import json
import shlex
import tempfile
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

from labelnoise import _files, _registry
from labelnoise.experiments import (
    Counts,
    Recipe,
    Study,
    check_selection,
    count_runs,
    load_data,
    load_recipe,
    mean_validation_accuracy,
    read_study,
    run_study,
    study_progress,
    write_failures,
)
from labelnoise.reports import (
    Findings,
    Summary,
    results_csv,
    study_markdown,
    study_page,
    study_sections,
    summarise,
    to_csv,
)
from labelnoise.runs import Part, RunConfig, short_names

__all__ = ["read", "report", "run", "status"]

_SELECTABLE: dict[str, Callable[[RunConfig, str], bool]] = {
    "dataset": lambda run, words: _is_called(run.dataset, words),
    "loss": lambda run, words: _is_called(run.loss, words),
    "noise": lambda run, words: _is_called(run.noise, words),
    "rate": lambda run, rate: run.rate == float(rate),
    "seed": lambda run, seed: run.seed == int(seed),
}
_NUMBERS: dict[str, Callable[[str], float]] = {"rate": float, "seed": int}


def run(
    recipe: str,
    out: Path | str,
    *,
    workers: int = 2,
    changes: dict[str, Any] | None = None,
    only: str = "",
    device: str = "cpu",
) -> list[Summary]:
    """Run the study of ``recipe`` in the folder ``out``, or what is left of it, and write its results.

    Args:
        recipe: a packaged recipe's name, such as ``clinc150``, or the path of a TOML file.
        out: holds ``recipe.json``, ``command.txt``, ``runs/`` and ``store.sqlite``, and the results: ``results.csv``,
            ``timings.csv``, ``learning_rate.csv`` and ``results_own_learning_rate.csv`` if any was chosen,
            ``failures.json`` if any failed, ``README.md``, ``figures/`` and ``report.html``; a ``notes.md`` put there
            is shown in both reports.
        workers: processes of one thread each.
        changes: settings by dotted name, over the recipe's.
        device: ``"cpu"``, ``"cuda"``, ``"mps"`` or ``"auto"``, which takes an accelerator where there is one.
        only: such as ``loss=gce,rate=0.4`` or ``loss=gce q=0.7``, as the tables name it; the runs that choose the
            learning rate are done all the same.

    Raises:
        ValueError: a recipe with an error, or a folder that cannot be written or holds another study.
        ChildProcessError: a worker was killed, or some runs failed.
    """
    parsed, selected, out = load_recipe(recipe, changes, device=device), _selection(only), Path(out)
    check_selection(parsed, selected)  # which reads the data: without, there is nothing to begin
    check_writable(out)
    known, settings = out / "recipe.json", parsed.model_dump_json(indent=2)
    # Read and written again: a setting that is newer than the file is at its default then.
    if known.exists() and _read_recipe(out).model_dump_json(indent=2) != settings:
        raise ValueError(f"{out} holds the study of another recipe; give another folder")
    changed = "".join(f" --set {shlex.quote(f'{name}={json.dumps(value)}')}" for name, value in (changes or {}).items())
    write(known, settings + "\n")
    name = shlex.quote(out.resolve().name)
    elsewhere = f" --device {device}" * (device != "cpu")
    write(out / "command.txt", f"labelnoise study run {shlex.quote(recipe)} --out {name}{changed}{elsewhere}\n")
    with study_progress() as show:
        study = run_study(parsed, out, workers=workers, on_progress=show, only=selected, device=device)
    summaries = report(out)  # of everything: runs that were not selected now stay in the tables
    check_failures(study)
    return summaries


def status(out: Path | str) -> Counts:
    """How many runs of the study in ``out`` are done, running, failed and left.

    Raises:
        ValueError: no study, or data that are not there.
    """
    return count_runs(_read_recipe(Path(out)), Path(out))


def read(out: Path | str) -> Study:
    """What is finished of the study in ``out``.

    Raises:
        ValueError: no study, or data that are not there.
    """
    return read_study(_read_recipe(Path(out)), Path(out))


def report(out: Path | str) -> list[Summary]:
    """Write the results of what is finished of the study in ``out``, and name what failed.

    Raises:
        ValueError: no study, no data, or nothing finished.
        ChildProcessError: every run failed.
    """
    out = Path(out)
    return write_results(_read_recipe(out), read(out), out, command=(out / "command.txt").read_text().strip())


def parse_value(text: str) -> object:
    """The value of a setting as it is written on a command line: JSON where it is JSON, else text.

    >>> parse_value("0.7"), parse_value("gce")
    (0.7, 'gce')
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def check_writable(out: Path) -> None:
    """Make the folder, and refuse one that cannot be written before anything is computed."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()
    except OSError as error:
        raise ValueError(f"out must be a folder that can be written, got {out}: {error.strerror}") from None


def write_results(recipe: Recipe, study: Study, out: Path, *, command: str) -> list[Summary]:
    """The tables as CSV and Markdown, and the page."""
    if not study.runs:
        check_failures(study)
        raise ValueError(f"no run of the study in {out} is finished")
    everything = {run.config.run_id: run for run in chain(*study.tuned, study.runs, study.own_runs)}
    chosen_by = dict(zip(_choices(recipe, study), map(mean_validation_accuracy, study.tuned), strict=True))
    rates = [(choice, *row) for choice, accuracies in chosen_by.items() for row in accuracies.items()]
    write(out / "learning_rate.csv", to_csv(("loss", "learning_rate", "validation_accuracy_best"), rates))
    write(out / "results.csv", results_csv(study.runs))
    if study.own_runs:
        write(out / "results_own_learning_rate.csv", results_csv(study.own_runs))
    write_failures(out, study.failures)
    seconds = sorted((run_id, run.seconds) for run_id, run in everything.items())
    write(out / "timings.csv", to_csv(("run_id", "seconds"), seconds))
    open_set = any(noise.name == "open_set" for noise in recipe.noises)
    findings = Findings(
        recipe.title, command, study.runs, study.own_runs, chosen_by, study.failures, open_set, _notes(out)
    )
    sections = study_sections(findings)
    markdown, figures = study_markdown(findings, sections)
    (out / "figures").mkdir(exist_ok=True)
    for name, svg in figures.items():
        write(out / name, svg)
    for path in (out / "figures").glob("*.svg"):  # of an earlier report, with other names
        if f"figures/{path.name}" not in figures:
            path.unlink()
    write(out / "README.md", markdown)
    write(out / "report.html", study_page(findings, sections, lambda part: load_data(part).dataset))
    return summarise(study.runs)


def check_failures(study: Study) -> None:
    """Raise a ``ChildProcessError`` where runs failed."""
    if study.failures:
        runs = "1 run" if len(study.failures) == 1 else f"{len(study.failures)} runs"
        raise ChildProcessError(f"{runs} failed, the first with {study.failures[0][1]}")


def _choices(recipe: Recipe, study: Study) -> list[str]:
    """What each choice of a learning rate is called: by its loss, and by its data set where there are several."""
    configs = [runs[0].config for runs in study.tuned]
    losses = short_names([*recipe.losses, *(config.loss for config in configs)])
    datasets = short_names(recipe.datasets)
    return [f"{datasets[c.dataset.label]} " * (len(datasets) > 1) + losses[c.loss.label] for c in configs]


def write(path: Path, text: str) -> None:
    """Put ``text`` into the file ``path``, whole."""
    with _files.replacing(path) as file:
        file.write(text.encode())


def _notes(out: Path) -> str:
    """What somebody wrote about the result, as Markdown paragraphs."""
    path = out / "notes.md"
    return path.read_text().strip() if path.exists() else ""


def _read_recipe(out: Path) -> Recipe:
    path = out / "recipe.json"
    try:
        return Recipe.model_validate_json(path.read_text())
    except OSError as error:
        raise ValueError(f"{out} holds no study: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{path} is no recipe: {' '.join(str(error).split())[:200]}") from None


def _selection(only: str) -> Callable[[RunConfig], bool]:
    wanted: list[tuple[str, str]] = []
    for clause in filter(None, only.split(",")):
        name, _, value = clause.partition("=")
        _registry.check_name("selection", name, _SELECTABLE)
        if name in _NUMBERS:
            try:
                _NUMBERS[name](value)
            except ValueError:
                raise ValueError(f"only must have a number as {name}, got {value!r}") from None
        wanted.append((name, value))
    return lambda run: all(_SELECTABLE[name](run, value) for name, value in wanted)


def _is_called(part: Part, words: str) -> bool:
    """Whether ``words`` are the part's name and, if any, some of its settings: ``gce``, ``gce q=0.7``."""
    name, *settings = words.split(" ")
    wanted = (setting.partition("=") for setting in settings)
    return name == part.name and all(part.settings.get(key) == parse_value(value) for key, _, value in wanted)
