"""``labelnoise noise``."""

from pathlib import Path
from typing import Annotated

import typer


def noise(
    data: Annotated[Path, typer.Argument(help="CSV (.csv), JSON Lines (.jsonl, .ndjson) or Parquet (.parquet).")],
    label: Annotated[str, typer.Option(help="Name of the label column.")],
    out: Annotated[Path, typer.Option(help="The noisy copy; the true labels go to OUT.truth.csv.")],
    kind: Annotated[str, typer.Option(help="Noise model: symmetric, symmetric_inclusive or pair_flip.")] = "symmetric",
    rate: Annotated[float, typer.Option(help="A fraction.")] = 0.4,
    seed: Annotated[int, typer.Option(help="Of all randomness.")] = 0,
) -> None:
    """Copy a table with some of its labels made wrong, and keep the true ones in a file beside it."""
    from labelnoise.tasks import add_noise

    noisy = add_noise(data, label=label, out=out, kind=kind, rate=rate, seed=seed)
    typer.echo(f"{noisy.rows:,} rows, {len(noisy.class_names)} classes: {noisy.rate:.2%} of the labels changed")
    typer.echo(f"Noisy copy: {noisy.out}, true labels: {noisy.truth}")
