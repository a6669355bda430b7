"""Small reference networks. To add one, write one file, one test file and its lines here."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from labelnoise import _registry
from labelnoise.models.encoder import TextEncoder
from labelnoise.models.lenet import LeNet
from labelnoise.models.mlp import MLP
from labelnoise.models.normalize import Normalize
from labelnoise.models.resnet import resnet18, resnet34
from labelnoise.models.small_resnet import small_resnet
from labelnoise.models.stacked_mlp import StackedMLP

__all__ = [
    "MLP",
    "LeNet",
    "Normalize",
    "StackedMLP",
    "TextEncoder",
    "build",
    "names",
    "resnet18",
    "resnet34",
    "small_resnet",
]

REGISTRY: dict[str, Callable[..., nn.Module]] = {
    "lenet": LeNet,
    "mlp": MLP,
    "resnet": small_resnet,
    "resnet18": resnet18,
    "resnet34": resnet34,
}


def names() -> list[str]:
    """The names ``build`` knows."""
    return sorted(REGISTRY)


def build(name: str, *, input_shape: Sequence[int], num_classes: int, **settings: Any) -> nn.Module:
    """The network registered under ``name``, sized for the data.

    Raises:
        ValueError: an unknown name or setting, or inputs of a shape that it does not take.
    """
    given = {"input_shape": input_shape, "num_classes": num_classes, **settings}
    return _registry.build("model", REGISTRY, name, given)
