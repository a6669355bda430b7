"""Wrong labels on purpose, in a copy of the user's own data."""

from pathlib import Path
from typing import NamedTuple

import torch

from labelnoise import _files, noise
from labelnoise.datasets._table_csv import csv_cell
from labelnoise.datasets._table_file import read_labels, rewrite_labels
from labelnoise.training import child_generator

_GIVEN = {"rate", "num_classes"}  # what is known of any label column


class NoisyCopy(NamedTuple):
    """Where the copy and its truth lie, and what they hold."""

    out: Path
    truth: Path
    rows: int
    class_names: tuple[str, ...]
    rate: float
    """Share of the labels that really changed."""


# Not called `noise`: that is the package of noise models, `labelnoise.noise`, which a task of that name would hide.
def add_noise(
    data: Path | str,
    *,
    label: str,
    out: Path | str,
    kind: str = "symmetric",
    rate: float = 0.4,
    seed: int = 0,
) -> NoisyCopy:
    """Copy a table with some of its labels made wrong, and keep the true ones in a file beside it.

    The copy differs in the labels alone; the truth, ``index,true_label`` for every row from 0, goes to
    ``<out>.truth.csv``, never into a column, where a model could find it.

    Args:
        data: a CSV file with a header, a Parquet file, or JSON Lines.
        label: name of the label column.
        out: the copy, which must not exist yet; of the same suffix as ``data``.
        kind: a noise model that needs labels only: ``symmetric``, ``symmetric_inclusive`` or ``pair_flip``.
        rate: a fraction; what it means is up to the noise model.
        seed: of all randomness.

    Raises:
        ValueError: data that cannot be read, or whose label column is none; a kind that is unknown or needs more than
            labels; a rate that is no fraction; an ``out`` that exists, is of another suffix or in no folder.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     data = Path(folder) / "pets.csv"
        ...     _ = data.write_text("text,animal\\n" + "purrs,cat\\nbarks,dog\\n" * 50)
        ...     noisy = add_noise(data, label="animal", out=Path(folder) / "noisy.csv", rate=1.0)
        ...     noisy.out.read_text().splitlines()[:3], noisy.truth.read_text().splitlines()[:3]
        (['text,animal', 'purrs,dog', 'barks,cat'], ['index,true_label', '0,cat', '1,dog'])
    """
    data, out = Path(data), Path(out)
    _check_kind(kind)
    _check_out(data, out)
    labels, class_names = read_labels(data, label)
    number = {name: position for position, name in enumerate(class_names)}
    true = torch.tensor([number[name] for name in labels])
    model = noise.build(kind, rate=rate, num_classes=len(class_names))
    record = model(true, generator=child_generator(seed, "noise"))
    wrong = record.labels.tolist()
    changes = {row: class_names[wrong[row]] for row in record.flipped.nonzero().flatten().tolist()}

    truth = out.with_name(f"{out.name}.truth.csv")
    content = b"index,true_label\n" + b"".join(b"%d,%b\n" % (row, csv_cell(name)) for row, name in enumerate(labels))
    left_over = truth.exists()  # by a run that was killed
    if left_over and truth.read_bytes() != content:
        raise ValueError(f"{truth} exists, and is the truth of other labels; give another out, or move it away")
    # The truth comes first: a kill between the two leaves a truth without its copy, which says nothing wrong and is
    # taken over by the next run. A noisy copy without its truth would be data that nobody can tell from clean ones.
    if not left_over:
        with _files.replacing(truth) as file:
            file.write(content)
    try:
        rewrite_labels(data, out, label, changes)
    except BaseException:
        if not left_over and not out.exists():  # an interrupt may come when the copy is already in its place
            truth.unlink()
        raise
    return NoisyCopy(out, truth, len(labels), class_names, record.rate)


def _check_kind(kind: str) -> None:
    """Refuse a noise model that asks for more than is known of any label column."""
    more = noise.settings_of(kind) - _GIVEN
    if noise.settings_of(kind) == _GIVEN:
        return
    why = f"which also takes {', '.join(sorted(more))}" if more else "which is made for the classes of one data set"
    usable = ", ".join(name for name in noise.names() if noise.settings_of(name) == _GIVEN)
    raise ValueError(f"kind must be a noise model that needs labels only ({usable}), got {kind}, {why}")


def _check_out(data: Path, out: Path) -> None:
    if data.is_dir():
        raise ValueError(f"data must be a table, got the folder {data}")
    if out.suffix.lower() != data.suffix.lower():
        raise ValueError(f"out must end in {data.suffix}, as the data, got {out}")
    if out.exists():
        raise ValueError(f"out must not exist yet, got {out}")
    if not out.parent.is_dir():
        raise ValueError(f"out must lie in a folder that exists, got {out}")
