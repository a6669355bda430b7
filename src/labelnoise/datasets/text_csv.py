"""Any texts with labels, in two CSV files."""

from pathlib import Path

from labelnoise.datasets._dataset import Dataset
from labelnoise.datasets._texts import read_text_csv, text_set


def text_csv(root: Path | str, *, train: str = "train.csv", test: str = "test.csv") -> Dataset:
    """Texts of your own: two CSV files with the columns ``text`` and ``label``; other columns are ignored.

    Inputs are texts, in the order of the file. The classes are the labels of the training file, numbered in the order
    of their names; nothing better is known of the training labels, so they count as the true ones.

    Args:
        root: folder the files lie in.
        train: training file, under ``root``.
        test: test file, under ``root``.

    Raises:
        ValueError: a file is missing, empty, not UTF-8 or not such a CSV file; a label that only the test file has.

    Example: with a folder ``data/reviews``, ``text_csv("data", train="reviews/train.csv", test="reviews/test.csv")``.
    """
    return text_set("text-csv", read_text_csv(Path(root) / train), read_text_csv(Path(root) / test))
