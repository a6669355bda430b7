"""Reader for CSV files of texts and their labels, and the data set made of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from labelnoise._types import Batch, Texts
from labelnoise.datasets._dataset import Dataset
from labelnoise.datasets._table_file import read_csv
from labelnoise.datasets._table_parts import check_column


class Labelled(NamedTuple):
    """Texts with their labels as they are written in a file."""

    path: Path
    texts: Sequence[str]
    labels: Sequence[str]


def read_text_csv(path: Path) -> Labelled:
    """The columns ``text`` and ``label`` of a CSV file in UTF-8; a ``ValueError`` if it is none, or empty."""
    columns = ("text", "label")
    table = read_csv(path, texts=columns)
    for column in columns:
        check_column(path, column, table.column_names)
    read = Labelled(path, *(table.column(column).to_pylist() for column in columns))
    if not read.labels:
        raise ValueError(f"{path} holds no texts")
    missing = next((row for row, label in enumerate(read.labels) if not label.strip()), None)
    if missing is not None:
        raise ValueError(f"{path} has no label in row {missing}, counted from 0")
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
