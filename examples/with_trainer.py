"""The same run as plain_loop.py with the trainer: best epoch, exact resume, and which labels are wrong.

python examples/with_trainer.py
"""

import tempfile
from pathlib import Path

import torch
from torch import nn

from labelnoise import objectives
from labelnoise.audit import audit_record
from labelnoise.datasets import digits
from labelnoise.models import MLP
from labelnoise.noise import symmetric
from labelnoise.training import (
    Batch,
    build_schedule,
    child_generator,
    open_fabric,
    progress_bar,
    seeded,
    split_validation,
    train,
)


def main(epochs: int = 30, seed: int = 0) -> nn.Module:
    torch.set_num_threads(1)
    data = digits()
    noisy = symmetric(data.train.labels, rate=0.4, num_classes=10, generator=child_generator(seed, "noise"))
    rows, held_out = split_validation(noisy.labels, fraction=0.2, generator=child_generator(seed, "split"))
    given = Batch(data.train.inputs, noisy.labels, data.train.index)

    with seeded(seed, "weights"):
        model = MLP((1, 8, 8), num_classes=10, hidden=(256,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)
    steps = -(-len(rows) // 64)
    with tempfile.TemporaryDirectory() as folder, progress_bar("training", total=epochs) as advance:
        result = train(
            model,
            objectives.build("gce", num_samples=len(rows), q=0.7),
            given.take(rows),
            given.take(held_out),
            data.test,
            fabric=open_fabric("cpu"),
            optimizer=optimizer,
            schedule=build_schedule("multi_step", optimizer, epochs=epochs, steps_per_epoch=steps),
            epochs=epochs,
            batch_size=64,
            generator=child_generator(seed, "order"),
            checkpoint=Path(folder) / "checkpoint.pt",
            on_epoch=advance,
        )

    best, last = result.history[result.best_epoch - 1], result.history[-1]
    print(f"test {best.test_accuracy:.1%} at the best epoch {best.epoch}, {last.test_accuracy:.1%} at the last")
    audit = audit_record(result.record)
    wrong = noisy.flipped[rows]
    print(f"{wrong[audit.is_issue].float().mean():.1%} of the {int(audit.is_issue.sum())} flagged labels are wrong")
    return model


if __name__ == "__main__":
    main()
