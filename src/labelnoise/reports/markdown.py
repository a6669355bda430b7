"""A study's report as Markdown, beside it the figures as files."""

from collections.abc import Sequence

from labelnoise.reports.references import bibtex
from labelnoise.reports.sections import Findings, Section, Table, learning_rates, machines, versions


def study_markdown(findings: Findings, sections: Sequence[Section]) -> tuple[str, dict[str, str]]:
    """The report, and the SVG figures it shows by their path beside it."""
    config, environment = findings.runs[0].config, findings.runs[0].environment
    datasets = dict.fromkeys(run.config.dataset.label for run in findings.runs)
    noises = dict.fromkeys(run.config.noise.label for run in findings.runs)
    made = (
        f"{', '.join([*datasets, *noises])}, {config.model.label}, {config.epochs} epochs, batch {config.batch_size}, "
        f"learning rate {learning_rates(findings)} ({config.schedule.label}), momentum {config.momentum}, weight decay "
        f"{config.weight_decay}, {config.precision}{', compiled' * config.compiled}. Made with `{findings.command}` on "
        f"{machines(findings)}, Python {environment['python']}, torch {environment['torch']}, {versions(findings)}."
    )
    parts = [
        f"# {findings.title}",
        findings.notes,
        *(_section(section) for section in sections),
        "## How it was made",
        made,
    ]
    parts += ["## References", f"```bibtex\n{bibtex(findings.runs)}\n```"]
    figures = {f"figures/{name}.svg": svg for section in sections for name, svg in section.figures.items()}
    return "\n\n".join(part for part in parts if part) + "\n", figures


def _section(section: Section) -> str:
    figures = "\n".join(f"![{name}](figures/{name}.svg)" for name in section.figures)
    table = _table(section.table) if section.table else ""
    return "\n\n".join(part for part in (f"## {section.title}", section.text, table, figures) if part)


def _table(table: Table) -> str:
    lines = [table.head, ["---"] * len(table.head), *table.rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
