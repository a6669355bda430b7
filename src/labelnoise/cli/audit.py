"""``labelnoise audit``."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Assume(StrEnum):
    """What noise depends on; the same words as :data:`labelnoise.audit.readings.Assume`, without importing torch."""

    auto = "auto"
    by_class = "class"
    by_instance = "instance"


def audit(
    pred_probs: Annotated[Path, typer.Option(help=".npy of (n, classes) out-of-sample probabilities of any model.")],
    labels: Annotated[Path, typer.Option(help=".npy of (n) given labels, numbered from 0.")],
    out: Annotated[Path, typer.Option(help="Folder for labels.csv, summary.json and source.json.")],
    assume: Annotated[Assume, typer.Option(help="Whether noise depends on the class or on the sample.")] = Assume.auto,
    max_false_flags: Annotated[
        float | None, typer.Option(help="Flag so many that at most this fraction is expected to be right.")
    ] = None,
) -> None:
    """Tell from a model's probabilities which labels are wrong, and how many."""
    import warnings

    from labelnoise.audit import AuditWarning
    from labelnoise.tasks import audit_files

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", AuditWarning)
        found = audit_files(pred_probs, labels, out=out, assume=assume.value, max_false_flags=max_false_flags)
    for warning in caught:
        typer.echo(f"Warning: {warning.message}", err=True)
    estimate, n = found.estimate, len(found.given)
    typer.echo(
        f"{estimate.rate:.1%} of {n:,} labels are estimated to be wrong, between {estimate.low:.1%} and "
        f"{estimate.high:.1%}: {estimate.by_class:.1%} if noise depends on the class alone, {estimate.by_instance:.1%} "
        "if it sits on the samples that the model doubts."
    )
    typer.echo(f"{int(found.is_issue.sum()):,} are flagged, in {out / 'labels.csv'}; rates by class in summary.json.")
