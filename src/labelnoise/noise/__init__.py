"""Noise models: labels -> noisy labels and a record of what changed, from a generator and no global state.

The export list is the registry: every exported model is listed by ``names()``, built by ``build()`` and can be named
in a recipe. To add one, write one file, one test file and its lines here.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from labelnoise import _registry
from labelnoise._types import NoiseRecord
from labelnoise.noise._check import check_num_classes, check_rate
from labelnoise.noise.class_dependent import class_dependent
from labelnoise.noise.instance_dependent import instance_dependent
from labelnoise.noise.map_flip import map_flip
from labelnoise.noise.open_set import OpenSetRecord, open_set
from labelnoise.noise.pair_flip import pair_flip
from labelnoise.noise.paper_maps import cifar10_map, cifar100_circular, cifar100_superclass, fashion_mnist_map
from labelnoise.noise.symmetric import symmetric
from labelnoise.noise.symmetric_inclusive import symmetric_inclusive

__all__ = [
    "cifar10_map",
    "cifar100_circular",
    "cifar100_superclass",
    "class_dependent",
    "fashion_mnist_map",
    "instance_dependent",
    "map_flip",
    "pair_flip",
    "symmetric",
    "symmetric_inclusive",
]

REGISTRY: dict[str, Callable[..., NoiseRecord]] = {name: globals()[name] for name in __all__}

# open_set replaces inputs and keeps the labels: exported beside the models of noisy labels, not one of them.
__all__ += ["NoiseRecord", "OpenSetRecord", "build", "names", "open_set", "settings_of"]


def names() -> list[str]:
    """The names ``build`` knows.

    >>> "symmetric" in names()
    True
    """
    return sorted(REGISTRY)


def build(name: str, **settings: Any) -> Callable[..., NoiseRecord]:
    """The noise model registered under ``name`` with ``settings`` held fast; a call gives the labels and the rest.

    Raises:
        ValueError: an unknown name or setting, a rate or a number of classes out of range.

    >>> import torch
    >>> noise = build("symmetric", rate=1.0)
    >>> noise(torch.tensor([0, 1]), num_classes=2, generator=torch.Generator().manual_seed(0)).labels
    tensor([1, 0])
    >>> build("symetric", rate=1.0)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: unknown noise model 'symetric'; did you mean 'symmetric'? (one of: cifar100_circular, ...)
    """
    known = settings_of(name)  # labels and generator belong to a run, not to a recipe
    checks = {"rate": check_rate, "num_classes": check_num_classes}  # the others are judged when they meet the data
    for setting, value in settings.items():
        _registry.check_name(f"setting of {name}", setting, known)
        if setting in checks:
            checks[setting](value)
    return functools.partial(REGISTRY[name], **settings)


def settings_of(name: str) -> set[str]:
    """What the noise model ``name`` takes besides labels and generator.

    >>> sorted(settings_of("symmetric"))
    ['num_classes', 'rate']
    """
    _registry.check_name("noise model", name, REGISTRY)
    return inspect.signature(REGISTRY[name]).parameters.keys() - {"labels", "generator"}
