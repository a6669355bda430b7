"""How a network is trained on data of each kind, where the user does not say."""

import math
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from torch import nn

from labelnoise import _registry, models, objectives
from labelnoise._plugin import is_plugin, load_plugin
from labelnoise.models import Normalize, TextEncoder
from labelnoise.objectives import Objective, Stateless
from labelnoise.runs import Part
from labelnoise.training import Precision, resolve_precision, seeded

_FEW = 5000  # samples, below which small batches make enough steps of them
_SMALL_BATCH, _BATCH = 32, 128
_STEPS = {_SMALL_BATCH: 6000, _BATCH: 3000}
_LEAST_EPOCHS, _MOST_EPOCHS = 15, 100
_LEARNING_RATE = 1e-3
_CONVOLUTIONAL_RATE = 3e-3
_ENCODER_RATE, _ENCODER_EPOCHS = 5e-5, 4
ENCODER = "encoder"
"""The model's name where it is a pretrained one, from a folder."""
_SMALL_RESNET = Part.model_validate({"name": "resnet", "depth": 8, "width": 16})
_MLP = Part.model_validate({"name": "mlp", "hidden": (256,)})
_RESNET18_FROM = 9  # pixels
_CROP = Part.model_validate({"name": "crop", "padding": 4})


class TrainingRecipe(BaseModel):
    """Network and optimiser: AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101), one cycle of the learning rate."""

    model_config = ConfigDict(frozen=True)

    model: Part
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.01
    augment: Part | None = None
    precision: Precision = "32-true"


def default_recipe(kind: str, model: str, *, samples: int, device: str, side: int = 32) -> TrainingRecipe:
    """For ``samples`` training samples of a kind, images of ``side`` pixels at the shorter side.

    ``model`` is ``"auto"``, a registered name, or the user's own.

    Raises:
        ValueError: an unknown network.
    """
    if model == "auto" and kind == "image":
        part = _SMALL_RESNET if device == "cpu" or side < _RESNET18_FROM else Part(name="resnet18")
    elif model == "auto":
        part = _MLP
    else:
        part = Part(name=model)
        if not is_plugin(model):
            _registry.check_name("model", model, ["auto", *models.names()])
    return TrainingRecipe(
        model=part,
        batch_size=_BATCH if samples >= _FEW else _SMALL_BATCH,
        learning_rate=_CONVOLUTIONAL_RATE if kind == "image" else _LEARNING_RATE,
        augment=_CROP if kind == "image" else None,
        precision=resolve_precision("auto", device) if kind == "image" else "32-true",
    )


def encoder_recipe(folder: Path, pad_id: int) -> TrainingRecipe:
    """For a pretrained text encoder: the rate, batch and few epochs of Devlin et al. 2019 (arXiv 1810.04805, A.3)."""
    model = Part.model_validate({"name": ENCODER, "folder": str(folder), "pad_id": pad_id})
    return TrainingRecipe(model=model, batch_size=_SMALL_BATCH, learning_rate=_ENCODER_RATE)


def default_epochs(samples: int, recipe: TrainingRecipe) -> int:
    """As many as make about 3000 steps, of small batches 6000, within 15 and 100.

    >>> default_epochs(13_500, TrainingRecipe(model=Part(name="mlp"), batch_size=128, learning_rate=0.001))
    29
    """
    if recipe.model.name == ENCODER:
        return _ENCODER_EPOCHS
    steps = math.ceil(samples / recipe.batch_size)
    return min(max(math.ceil(_STEPS[recipe.batch_size] / steps), _LEAST_EPOCHS), _MOST_EPOCHS)


def build_network(
    model: Part, input_shape: tuple[int, ...], num_classes: int, *, images: Any = None, seed: int = 0
) -> nn.Module:
    """The network, sized for the data; before ``images``, which are uint8, the layer that normalises them."""
    with seeded(seed, "weights"):
        if model.name == ENCODER:
            settings = model.settings
            network = TextEncoder.load(settings["folder"], num_classes=num_classes, pad_id=settings["pad_id"])
        elif is_plugin(model.name):
            network = _own_network(model.name, input_shape, num_classes)
        else:
            network = models.build(model.name, input_shape=input_shape, num_classes=num_classes, **model.settings)
    if images is not None:
        network = nn.Sequential(Normalize.fit(images), network)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def build_optimizer(network: nn.Module, recipe: TrainingRecipe) -> torch.optim.Optimizer:
    """Of all its weights; the fused kernel goes over them once, which takes a quarter of the time on a CPU."""
    return torch.optim.AdamW(
        network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
    )


def _own_network(name: str, input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """What the user's factory returns, tried on two samples."""
    factory = load_plugin(name).value
    try:
        network = factory(input_shape=input_shape, num_classes=num_classes)
        if not isinstance(network, nn.Module):
            raise TypeError(f"it must return a torch.nn.Module, got {type(network).__name__}")
        with torch.no_grad():
            shape = tuple(network.eval()(torch.zeros(2, *input_shape)).shape)
        if shape != (2, num_classes):
            raise TypeError(f"logits must be of shape (n, {num_classes}), got {shape} for n = 2")
    except Exception as error:  # it is the user's code
        raise ValueError(f"model {name} cannot be used: {type(error).__name__}: {error}") from None
    return network.train()


def build_objective(loss: Part, *, epochs: int, num_samples: int, class_names: tuple[str, ...]) -> Objective:
    """The loss to minimise over ``epochs``; pruning starts half way, and is decided anew every eighth of them.

    Raises:
        ValueError: an unknown loss, or one that needs what only the user can know.
    """
    if is_plugin(loss.name):
        return Stateless(load_plugin(loss.name).value(**loss.settings))
    settings = loss.settings
    if loss.name == "pruned_gce":
        settings = {"warmup": epochs // 2, "period": max(1, epochs // 8), **settings}
    return objectives.build(loss.name, num_samples=num_samples, class_names=class_names, **settings)
