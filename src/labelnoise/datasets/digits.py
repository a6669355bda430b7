"""Handwritten digits: 1,797 real images of 8x8 pixels that come with scikit-learn, so nothing is downloaded."""

import torch
from sklearn.datasets import load_digits

from labelnoise._types import Batch
from labelnoise.datasets._dataset import Dataset

_TEST_SAMPLES = 360


def digits() -> Dataset:
    """The digits of Alpaydin and Kaynak (UCI 1998): inputs (n, 1, 8, 8) float32, standardised; 10 classes.

    There is no official split: a fixed random fifth is the test set, the same for every seed. Mean and standard
    deviation are those of all training pixels.

    >>> digits().train.inputs.shape
    torch.Size([1437, 1, 8, 8])
    """
    features, target = load_digits(return_X_y=True)
    pixels = torch.tensor(features, dtype=torch.float32).view(-1, 1, 8, 8)
    labels = torch.tensor(target, dtype=torch.int64)
    shuffled = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    test, train = shuffled[:_TEST_SAMPLES].sort().values, shuffled[_TEST_SAMPLES:].sort().values
    inputs = (pixels - pixels[train].mean()) / pixels[train].std()
    return Dataset(
        name="digits",
        train=Batch(inputs[train], labels[train], train),
        true_labels=labels[train],
        test=Batch(inputs[test], labels[test], test),
        class_names=tuple(str(digit) for digit in range(10)),
    )
