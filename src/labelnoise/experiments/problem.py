"""What a run trains on: data, noise, split and features, drawn from streams of their own."""

import functools
from typing import NamedTuple

import torch
from jaxtyping import Int64
from torch import Tensor

from labelnoise import features
from labelnoise._types import Batch, Texts
from labelnoise.experiments.data import load_data
from labelnoise.experiments.noises import add_noise
from labelnoise.runs import Part, RunConfig
from labelnoise.training import child_generator, split_validation

_LEARNER = {"loss": Part(name="cce"), "learning_rate": 1.0}  # what the runs of one problem differ in


class Problem(NamedTuple):
    """A data set with noise, split for one run; equal for all losses and learning rates of one seed."""

    training: Batch
    validation: Batch
    """As noisy as the training part."""
    test: Batch
    true_labels: Int64[Tensor, "n"]
    """Of the training part; -1 where no class is right."""
    transition: Tensor | None
    """p(noisy label = column | true label = row) the labels were drawn from; ``None`` for noise of the inputs."""
    class_names: tuple[str, ...]


def load_problem(config: RunConfig) -> Problem:
    """The problem of ``config``, kept for the next run: those of one seed share it, whatever they learn it by.

    Raises:
        ValueError: the data are not those the config was made for, or a setting that does not fit them.
    """
    return _load_problem(config.model_copy(update=_LEARNER).model_dump_json())


@functools.lru_cache(maxsize=1)
def _load_problem(config_json: str) -> Problem:
    config = RunConfig.model_validate_json(config_json)
    _, data, checksum = load_data(config.dataset)
    if checksum != config.dataset_checksum:
        raise ValueError(f"dataset {data.name} has checksum {checksum}, the run wants {config.dataset_checksum}")
    train, true_labels = data.train, data.true_labels
    if config.train_samples is not None and config.train_samples < len(true_labels):
        fraction, draw = config.train_samples / len(true_labels), torch.Generator().manual_seed(0)
        _, chosen = split_validation(true_labels, fraction=fraction, generator=draw)
        train, true_labels = train.take(chosen), true_labels[chosen]

    train, true_labels, transition = add_noise(config, train, true_labels, len(data.class_names))
    rows, held_out = split_validation(
        train.labels, fraction=config.validation_fraction, generator=child_generator(config.seed, "split")
    )
    parts = [train.take(rows), train.take(held_out), data.test]
    if config.features is not None:
        if not isinstance(train.inputs, Texts):
            raise ValueError(f"features {config.features.name} are for texts, {data.name} has none")
        transform = features.build(config.features.name, **config.features.settings).fit(parts[0].inputs)
        parts = [part._replace(inputs=transform.transform(part.inputs)) for part in parts]
    return Problem(*parts, true_labels[rows], transition, data.class_names)
