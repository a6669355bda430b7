"""A problem small enough to train in milliseconds: two noisy Gaussian blobs in four dimensions."""

from functools import partial

import torch
from torch import nn

from labelnoise import objectives
from labelnoise._types import Batch
from labelnoise.training import build_schedule, child_generator, open_fabric, seeded, train

EPOCHS, BATCH_SIZE = 6, 8
SGD = partial(torch.optim.SGD, momentum=0.9)


def blobs(n, stream, flip=0.2):
    generator = child_generator(0, stream)
    labels = torch.randint(2, (n,), generator=generator)
    inputs = torch.randn(n, 4, generator=generator) + 2.0 * labels[:, None]
    flipped = torch.rand(n, generator=generator) < flip
    return Batch(inputs, torch.where(flipped, 1 - labels, labels), torch.arange(100, 100 + n))


def run(
    loss="gce",
    *,
    epochs=EPOCHS,
    dropout=0.5,
    width=16,
    schedule="cosine",
    splits=None,
    stop_at=None,
    lr=0.1,
    precision="32-true",
    optimizer=SGD,
    **kwargs,
):
    """Train a small network; ``stop_at`` ends the run as a kill would, right after that epoch's checkpoint."""
    training, validation, test = splits or (blobs(30, "train"), blobs(20, "validation"), blobs(20, "test", flip=0))
    with seeded(0, "weights"):
        model = nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, 2))
    optimizer = optimizer(model.parameters(), lr=lr)
    settings = {"warmup": 2, "period": 2} if loss == "pruned_gce" else {}
    steps = -(-len(training.labels) // BATCH_SIZE)

    def on_epoch(metrics):
        if metrics.epoch == stop_at:
            raise KeyboardInterrupt

    with seeded(0, "layers"):
        result = train(
            model,
            objectives.build(loss, num_samples=len(training.labels), **settings),
            training,
            validation,
            test,
            fabric=open_fabric("cpu", precision),
            optimizer=optimizer,
            schedule=build_schedule(schedule, optimizer, epochs=epochs, steps_per_epoch=steps),
            epochs=epochs,
            batch_size=BATCH_SIZE,
            generator=child_generator(0, "order"),
            on_epoch=on_epoch,
            **kwargs,
        )
    return model, result


def same(first, second):
    """Equal to the bit: weights, history, best epoch, record."""
    (model, result), (other_model, other) = first, second
    states = [(model.state_dict(), other_model.state_dict()), (result.best_state, other.best_state)]
    return (
        all(torch.equal(a[name], b[name]) for a, b in states for name in a)
        and result.history == other.history
        and result.best_epoch == other.best_epoch
        and all(torch.equal(a, b) for a, b in zip(result.record, other.record, strict=True))
    )
