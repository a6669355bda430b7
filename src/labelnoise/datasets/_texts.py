"""Reader for CSV files of texts and their labels, and the data set made of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.csv
import torch

from labelnoise._types import Batch, Texts
from labelnoise.datasets._dataset import Dataset


class Labelled(NamedTuple):
    """Texts with their labels as they are written in a file."""

    path: Path
    texts: Sequence[str]
    labels: Sequence[str]


def read_text_csv(path: Path) -> Labelled:
    """The columns ``text`` and ``label`` of a CSV file in UTF-8; a ``ValueError`` if it is none, or empty."""
    columns = pyarrow.csv.ConvertOptions(
        include_columns=["text", "label"],
        column_types={"text": pa.string(), "label": pa.string()},
        strings_can_be_null=False,
    )
    try:
        table = pyarrow.csv.read_csv(
            path,
            # One thread: only then do errors name the row.
            read_options=pyarrow.csv.ReadOptions(use_threads=False),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
            convert_options=columns,
        )
    except (pa.ArrowException, OSError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path} is not a CSV file with the columns text and label: {reason}") from None
    read = Labelled(path, table.column("text").to_pylist(), table.column("label").to_pylist())
    if not read.labels:
        raise ValueError(f"{path} holds no texts")
    if "" in read.labels:
        raise ValueError(f"{path} has no label in its row {read.labels.index('') + 1} (without the header)")
    return read


def text_set(name: str, train: Labelled, test: Labelled) -> Dataset:
    """The data set of these texts in the order of their files; classes are numbered in the order of their names."""
    class_names = tuple(sorted(set(train.labels)))
    number = {label: position for position, label in enumerate(class_names)}
    unknown = next((label for label in test.labels if label not in number), None)
    if unknown is not None:
        raise ValueError(f"{test.path} has the label {unknown[:100]!r}, which {train.path} never has")
    labels, test_labels = (torch.tensor([number[label] for label in part.labels]) for part in (train, test))
    index = torch.arange(len(labels) + len(test_labels))
    return Dataset(
        name=name,
        train=Batch(Texts(train.texts), labels, index[: len(labels)]),
        true_labels=labels,
        test=Batch(Texts(test.texts), test_labels, index[len(labels) :]),
        class_names=class_names,
    )
