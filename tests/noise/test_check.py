"""The messages a user gets; the checks are called directly, below the type hook of the test run."""

import math

import numpy as np
import pytest
import torch

from labelnoise.noise import pair_flip, symmetric, symmetric_inclusive
from labelnoise.noise._check import check_generator, check_labels, check_num_classes, check_rate


@pytest.mark.parametrize("rate", [20, -0.1, 1.0000001, math.nan, "0.4", None, True])
def test_rate(rate):
    with pytest.raises(ValueError, match=rf"^rate must be a fraction within \[0, 1\], got {rate!r}$"):
        check_rate(rate)


def test_numpy_numbers_are_numbers():
    check_rate(np.float32(0.4))
    check_num_classes(np.int64(3))


@pytest.mark.parametrize("num_classes", [1, 0, -3, 3.0, "ten", None, True])
def test_num_classes(num_classes):
    with pytest.raises(ValueError, match=f"^num_classes must be an int of at least 2, got {num_classes!r}$"):
        check_num_classes(num_classes)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1], r"int64 tensor of shape \(n,\), got list"),
        (torch.tensor([0.0, 1.0]), r"int64 of shape \(n,\), got torch.float32 of shape \(2,\)"),
        (torch.tensor([0, 1], dtype=torch.int32), r"int64 of shape \(n,\), got torch.int32 of shape \(2,\)"),
        (torch.tensor([[0, 1]]), r"int64 of shape \(n,\), got torch.int64 of shape \(1, 2\)"),
        (torch.tensor(1), r"int64 of shape \(n,\), got torch.int64 of shape \(\)"),
        (torch.tensor([0, -1]), r"within \[0, 3\), got -1"),
        (torch.tensor([3, 0]), r"within \[0, 3\), got 3"),
    ],
)
def test_labels(labels, message):
    with pytest.raises(ValueError, match=rf"^labels must be (an )?{message}$"):
        check_labels(labels, num_classes=3)


@pytest.mark.parametrize("generator", [None, 0])
def test_generator(generator):
    with pytest.raises(ValueError, match=f"^generator must be a torch.Generator, got {generator}$"):
        check_generator(generator)


@pytest.mark.parametrize("model", [symmetric, symmetric_inclusive, pair_flip])
@pytest.mark.parametrize(("setting", "value"), [("rate", 20.0), ("num_classes", 1)])
def test_the_models_check_their_settings(model, setting, value):
    arguments = {"rate": 0.4, "num_classes": 3, "generator": torch.Generator()} | {setting: value}
    with pytest.raises(ValueError, match=f"^{setting} must be"):
        model(torch.tensor([0, 2]), **arguments)
