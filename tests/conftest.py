import pytest
import torch

torch.set_num_threads(1)


def pair_flips(num_classes):
    """30 % of each class to the next: with three classes and more, most entries are zero."""
    return 0.7 * torch.eye(num_classes, dtype=torch.float64) + 0.3 * torch.eye(num_classes).roll(1, dims=1)


@pytest.fixture
def required():
    """``required(name, num_classes)``: the settings without which the loss ``name`` is not defined."""
    return lambda name, num_classes: {"transition": pair_flips(num_classes)} if name == "forward" else {}
