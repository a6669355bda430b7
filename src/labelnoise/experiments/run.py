"""One run: data, noise, split, model, objective, training, audit, folder."""

import time
from pathlib import Path

import torch

from labelnoise import datasets, metrics, models, noise, objectives
from labelnoise._types import Batch
from labelnoise.audit import audit_record
from labelnoise.runs import RunConfig, RunFolder, Samples
from labelnoise.training import (
    build_schedule,
    child_generator,
    open_fabric,
    predict,
    seeded,
    split_validation,
    train,
)


def execute(config: RunConfig, root: Path, *, device: str = "cpu") -> None:
    """Do the run of ``config`` in its folder under ``root``; one that is finished stays as it is.

    Noise, split, initial weights and batch order come from streams of their own, so that runs which differ in the
    loss or the learning rate alone see the same data in the same order from the same start.

    Raises:
        ValueError: the data are not those the config was made for, or a setting that does not fit them.
    """
    folder = RunFolder(root, config)
    if folder.is_finished:
        return
    start = time.perf_counter()
    data = datasets.load(config.dataset)
    if data.checksum != config.dataset_checksum:
        raise ValueError(f"dataset {data.name} has checksum {data.checksum}, the run wants {config.dataset_checksum}")
    folder.open()
    num_classes = len(data.class_names)
    corrupt = noise.build(config.noise.name, rate=config.rate, num_classes=num_classes, **config.noise.settings)
    noisy = corrupt(data.train.labels, generator=child_generator(config.seed, "noise"))
    rows, held_out = split_validation(
        noisy.labels, fraction=config.validation_fraction, generator=child_generator(config.seed, "split")
    )
    given = Batch(data.train.inputs, noisy.labels, data.train.index)
    training = given.take(rows)

    with seeded(config.seed, "weights"):
        model = models.build(
            config.model.name,
            input_shape=data.train.inputs.shape[1:],
            num_classes=num_classes,
            **config.model.settings,
        )
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=config.learning_rate,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
    )
    steps_per_epoch = -(-len(rows) // config.batch_size)
    fabric = open_fabric(device, config.precision)
    with seeded(config.seed, "layers"):  # dropout and the like
        result = train(
            model,
            objectives.build(
                config.loss.name, num_samples=len(rows), class_names=data.class_names, **config.loss.settings
            ),
            training,
            given.take(held_out),
            data.test,
            fabric=fabric,
            optimizer=optimizer,
            schedule=build_schedule(
                config.schedule.name,
                optimizer,
                epochs=config.epochs,
                steps_per_epoch=steps_per_epoch,
                **config.schedule.settings,
            ),
            epochs=config.epochs,
            batch_size=config.batch_size,
            generator=child_generator(config.seed, "order"),
            checkpoint=folder.checkpoint,
        )
    inputs = training.inputs.to(fabric.device)
    predicted = predict(model, result.best_state, inputs, fabric=fabric).argmax(1).cpu()
    audit = audit_record(result.record)
    wrong = noisy.flipped[rows]
    best, last = result.history[result.best_epoch - 1], result.history[-1]
    folder.finish(
        {
            "best_epoch": best.epoch,
            "validation_accuracy_best": best.validation_accuracy,
            "test_accuracy_best": best.test_accuracy,
            "test_accuracy_last": last.test_accuracy,
            "detection": metrics.detection_scores(audit.suspicion, audit.is_issue, wrong)._asdict(),
        },
        result.history,
        Samples(result.record, predicted, wrong),
        result.best_state,
        seconds=time.perf_counter() - start,
    )
