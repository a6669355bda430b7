"""Noise as recipes name it: the models of ``labelnoise.noise``, and two that are a matter of the data set."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from labelnoise import noise
from labelnoise._types import Batch, NoiseRecord
from labelnoise.datasets import Dataset
from labelnoise.experiments.data import load_data
from labelnoise.noise.open_set import NO_CLASS
from labelnoise.runs import Part, RunConfig
from labelnoise.training import child_generator

NOISES: dict[str, Callable[..., Any]] = {
    **noise.REGISTRY,
    "human": lambda: None,  # the labels as the data set gives them
    "open_set": lambda rate, dataset: None,
}
_NONE = torch.empty(0, dtype=torch.int64)  # of the samples
_READ: dict[str, Callable[[Any], Any]] = {  # what a file has no word for
    "transition": lambda rows: torch.tensor(rows, dtype=torch.float64),
    "mapping": lambda pairs: {int(label): wrong for label, wrong in pairs.items()},
}


def has_rate(name: str) -> bool:
    """Whether a rate is chosen for the noise called ``name``; else it follows from its settings or from the data."""
    return "rate" in inspect.signature(NOISES[name]).parameters


def expected_rate(part: Part, data: Dataset) -> float:
    """The share of wrong labels to be expected of a noise without a rate, to four digits.

    Raises:
        ValueError: as of :func:`check_noise`.
    """
    transition = _confusion(data.true_labels, data.train.labels, len(data.class_names))
    if part.name != "human":
        transition @= _transition(part, data)
    return round(1 - transition.diagonal()[data.true_labels].mean().item(), 4)


def check_noise(part: Part, data: Dataset) -> None:
    """Try the noise on none of the samples.

    Raises:
        ValueError: a setting that is out of range or does not fit the data; no human labels.
    """
    if part.name == "open_set":
        _replace(part, data.train.take(_NONE), rate=0.0, generator=torch.Generator())
    if part.name == "human" and torch.equal(data.train.labels, data.true_labels):
        raise ValueError(f"noise human is of labels that people gave, {data.name} has the true ones alone")
    if part.name not in ("human", "open_set"):
        _transition(part, data)


def identified(part: Part) -> Part:
    """The noise with the checksum of what its result depends on besides the run's own data."""
    if part.name != "open_set":
        return part
    return part.model_copy(update={"checksum": load_data(Part(name=part.settings["dataset"])).checksum})


def add_noise(
    config: RunConfig, train: Batch, true_labels: Int64[Tensor, "n"], num_classes: int
) -> tuple[Batch, Int64[Tensor, "n"], Float64[Tensor, "k k"] | None]:
    """The training data after the noise of ``config``, their true labels, and the transition matrix if there is one.

    Raises:
        ValueError: a setting that does not fit the data, or another second data set than the config was made for.
    """
    given = _confusion(true_labels, train.labels, num_classes)  # the identity where the data's labels are right
    if config.noise.name == "human":
        return train, true_labels, given
    generator = child_generator(config.seed, "noise")
    if config.noise.name == "open_set":
        if identified(config.noise) != config.noise:
            raise ValueError(f"dataset {config.noise.settings['dataset']} is not the one the run was made for")
        replaced = _replace(config.noise, train, rate=config.rate, generator=generator)
        foreign = true_labels.index_fill(0, replaced.replaced, NO_CLASS)
        return train._replace(inputs=replaced.inputs), foreign, None
    noisy = _apply(config.noise, train, rate=config.rate, num_classes=num_classes, generator=generator)
    return train._replace(labels=noisy.labels), true_labels, given @ noisy.transition


def _apply(part: Part, train: Batch, *, rate: float, num_classes: int, generator: torch.Generator) -> NoiseRecord:
    known: Mapping[str, Any] = {"rate": rate, "num_classes": num_classes, "features": train.inputs}
    given = {name: value for name, value in known.items() if name in noise.settings_of(part.name)}
    try:
        settings = {name: _READ.get(name, lambda value: value)(value) for name, value in part.settings.items()}
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"a setting of noise {part.name} is malformed: {error}") from None
    record = noise.build(part.name, **given, **settings)(train.labels, generator=generator)
    if len(record.transition) != num_classes:
        raise ValueError(f"noise {part.name} is of {len(record.transition)} classes, the data have {num_classes}")
    return record


def _replace(part: Part, train: Batch, *, rate: float, generator: torch.Generator) -> noise.OpenSetRecord:
    other = load_data(Part(name=part.settings["dataset"])).dataset.train.inputs
    return noise.open_set(train.inputs, train.labels, other_inputs=other, rate=rate, generator=generator)


def _transition(part: Part, data: Dataset) -> Float64[Tensor, "k k"]:
    none = data.train.take(_NONE)
    return _apply(part, none, rate=0.0, num_classes=len(data.class_names), generator=torch.Generator()).transition


def _confusion(true: Int64[Tensor, "n"], given: Int64[Tensor, "n"], num_classes: int) -> Float64[Tensor, "k k"]:
    """Share of each given label (column) among the samples of a true class (row); the identity's row where none is."""
    counts = torch.zeros(num_classes, num_classes, dtype=torch.float64)
    counts.index_put_((true, given), torch.ones(len(true), dtype=torch.float64), accumulate=True)
    counts += torch.diag((counts.sum(1) == 0).double())
    return counts / counts.sum(1, keepdim=True)
