"""What the image data sets have in common."""

from pathlib import Path

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from labelnoise._types import Batch
from labelnoise.datasets._dataset import Dataset

Images = UInt8[Tensor, "n c h w"]
Labels = Int64[Tensor, "n"]


def image_set(
    name: str,
    train: tuple[UInt8[Tensor, "n c h w"], Int64[Tensor, "n"]],
    test: tuple[UInt8[Tensor, "m c h w"], Int64[Tensor, "m"]],
    class_names: tuple[str, ...],
) -> Dataset:
    """The data set of these images in the order of their files; ``index`` counts on from training to test."""
    (images, labels), (test_images, test_labels) = train, test
    index = torch.arange(len(labels) + len(test_labels))
    return Dataset(
        name=name,
        train=Batch(images, labels, index[: len(labels)]),
        true_labels=labels,
        test=Batch(test_images, test_labels, index[len(labels) :]),
        class_names=class_names,
    )


def check_labels(path: Path, labels: Int64[Tensor, "n"], *, count: int, classes: int) -> None:
    """Raise a ``ValueError`` that names ``path`` unless it gives one label out of ``classes`` to each of ``count``."""
    if len(labels) != count:
        raise ValueError(f"{path} has {len(labels):,} labels for {count:,} images")
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ValueError(f"{path} has labels {int(labels.min())} to {int(labels.max())}, expected 0 to {classes - 1}")
