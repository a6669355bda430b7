"""Labels for new data, by a model that ``fit`` has trained."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from labelnoise import _files
from labelnoise.datasets._own import read_own
from labelnoise.fitting import load_model
from labelnoise.fitting.cells import csv_bytes


class Predictions(NamedTuple):
    """One row a row of the data."""

    labels: tuple[str, ...]
    probability: np.ndarray
    """Of the label; what the network gives, which may be too sure."""


def predict(
    fitted: Path | str,
    data: Path | str,
    *,
    out: Path | str,
    root: Path | str | None = None,
    model: str | None = None,
    device: str = "cpu",
) -> Predictions:
    """Predict a label for every row of ``data``, and write ``index,id,label,probability`` to the CSV file ``out``.

    The id is the path of an image, else the index.

    Args:
        fitted: the folder of a finished :func:`labelnoise.fit`.
        data: of the same kind as it was fitted to, labelled or not: a table with the same columns, a folder of images
            however deep, an ``.npz`` or an ``.npy``.
        out: replaced where it exists; a pipe such as ``/dev/stdout`` is written to.
        root: where image paths of a table start, by default its own folder.
        model: the user's own network again, if it was fitted with one; its code is run.
        device: ``"cpu"``, ``"cuda"``, ``"mps"`` or ``"auto"``.

    Raises:
        ValueError: a folder without a model, the user's own network where it is not given, data of another kind or
            without a column, a ``root`` without a table, an ``out`` that is the data or cannot be written.
    """
    if os.path.realpath(out) == os.path.realpath(data):
        raise ValueError(f"out must be another file than the data, got {out}")
    saved = load_model(Path(fitted), model=model)
    columns = saved.columns._replace(label=None, id=None, root=None if root is None else Path(root))
    is_table = Path(data).suffix.lower() not in ("", ".npz", ".npy") and not Path(data).is_dir()
    if root is not None and not is_table:
        raise ValueError(f"root must be given with a table of image paths only, got {root}")
    own = read_own(Path(data), columns if is_table else type(columns)(), labelled=False)
    probabilities = saved.predict(own, device=device)
    probability, number = (part.numpy() for part in probabilities.max(1))
    labels = tuple(saved.class_names[position] for position in number.tolist())
    named = enumerate(zip(own.ids, labels, probability.tolist(), strict=True))
    rows = ((row, name, label, f"{p:.6g}") for row, (name, label, p) in named)
    try:
        with _files.replacing(Path(out)) as file:
            file.write(csv_bytes(("index", "id", "label", "probability"), rows))
    except OSError as error:
        raise ValueError(f"out must be a file that can be written, got {out}: {error.strerror}") from None
    return Predictions(labels, probability)
