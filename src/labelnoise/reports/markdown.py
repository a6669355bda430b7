"""A study's tables as Markdown."""

from collections.abc import Sequence

from labelnoise.reports.tables import summarise
from labelnoise.runs import Run


def study_markdown(
    runs: Sequence[Run],
    own_runs: Sequence[Run],
    *,
    title: str,
    command: str,
    chosen_by: dict[str, dict[float, float]],
) -> str:
    """Title, one table of ``runs`` and, where there are any, one of ``own_runs``, and how they came about."""
    config, machine = runs[0].config, runs[0].environment
    seeds = len({run.config.seed for run in runs})
    parts = [f"# {title}", f"Test accuracy in percent, mean ± standard deviation over {seeds} seeds.", _table(runs)]
    if own_runs:
        parts += ["## Every loss with its own learning rate", _table(own_runs)]
    for loss, accuracies in chosen_by.items():
        values = ", ".join(f"{rate}: {100 * accuracy:.2f}" for rate, accuracy in accuracies.items())
        parts.append(f"Noisy validation accuracy of {loss} by learning rate, percent: {values}.")
    parts.append(
        f"{config.epochs} epochs, batch {config.batch_size}, momentum {config.momentum}, weight decay "
        f"{config.weight_decay}, {config.precision}. Made with `{command}` on {machine['processor']} "
        f"({machine['cores']} cores), Python {machine['python']}, labelnoise {machine['labelnoise']} "
        f"({machine['commit']}), torch {machine['torch']}."
    )
    return "\n\n".join(parts) + "\n"


def _table(runs: Sequence[Run]) -> str:
    learning_rates = {(run.config.loss.name): run.config.learning_rate for run in runs}
    one_rate = len(set(learning_rates.values())) == 1
    head = ["noise", "loss", "best epoch", "last epoch", "AUROC", "flags right", "errors found"]
    rows = [
        [
            f"{row.noise} {row.rate:.0%}",
            row.loss,
            *(value.percent() for value in (row.best, row.last, row.auroc, row.precision, row.recall)),
        ]
        for row in summarise(runs)
    ]
    if not one_rate:
        head.append("learning rate")
        for row in rows:
            row.append(str(learning_rates[row[1].partition(" ")[0]]))
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
