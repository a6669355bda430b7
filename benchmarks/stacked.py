"""Twenty-four runs of a small network on digits: in stacks, against one by one in a plain loop.

python -m benchmarks.stacked [--check] [--out FILE]

Half of the runs to each of two processes of one thread, which are started beforehand. The plain loop does what a stack
does in an epoch (steps, accuracy and loss on validation and test) but keeps no record. Times are wall times, the CPU
times beside them say what the stack alone is worth; both are ratios of the same round, larger is better.
"""

import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median, quantiles

import torch
from torch.nn.functional import cross_entropy
from torch.optim import SGD

from benchmarks import _measure
from benchmarks._measure import Figure
from labelnoise import objectives
from labelnoise._types import Batch
from labelnoise.datasets import digits
from labelnoise.models import MLP
from labelnoise.noise import symmetric
from labelnoise.training import Member, build_schedule, child_generator, seeded, split_validation, train_stack

RUNS, PROCESSES, EPOCHS, ROUNDS = 24, 2, 5, 7
LOSSES = ("cce", "mae", "gce", "truncated_gce")
SHAPES = {
    "64-64-10, batch 32": ((64,), 32),
    "64-256-10, batch 64": ((256,), 64),
    "64-128-128-10, batch 128": ((128, 128), 128),
}
TARGETS = {"64-64-10, batch 32": 5.0}


def member(i: int, hidden: tuple[int, ...], folder: Path) -> Member:
    data, seed = digits(), i // len(LOSSES)
    noisy = symmetric(data.train.labels, rate=0.4, num_classes=10, generator=child_generator(seed, "noise")).labels
    rows, held_out = split_validation(noisy, fraction=0.2, generator=child_generator(seed, "split"))
    with seeded(seed, "weights"):
        model = MLP((1, 8, 8), 10, hidden=hidden)
    return Member(
        model,
        objectives.build(LOSSES[i % len(LOSSES)], num_samples=len(rows)),
        *(Batch(data.train.inputs[some], noisy[some], some) for some in (rows, held_out)),
        data.test,
        child_generator(seed, "order"),
        folder / f"{i}.pt",
    )


def plain(members: list[Member], batch_size: int) -> None:
    for run in members:
        loss, (inputs, labels, index) = run.objective, run.train
        optimizer = SGD(run.model.parameters(), lr=0.03, momentum=0.9)
        for _ in range(EPOCHS):
            run.model.train()
            for rows in torch.randperm(len(labels), generator=run.generator).split(batch_size):
                optimizer.zero_grad()
                loss(run.model(inputs[rows]), labels[rows], index[rows]).backward()
                optimizer.step()
            run.model.eval()
            with torch.inference_mode():
                for part in (run.validation, run.test):
                    logits = run.model(part.inputs)
                    (logits.argmax(1) == part.labels).float().mean().item()
                    cross_entropy(logits, part.labels).item()


def stacked(members: list[Member], batch_size: int) -> None:
    train_stack(
        members,
        optimizer=partial(SGD, lr=0.03, momentum=0.9),
        schedule=partial(
            build_schedule, "multi_step", epochs=EPOCHS, steps_per_epoch=-(-len(members[0].train.labels) // batch_size)
        ),
        epochs=EPOCHS,
        batch_size=batch_size,
        device=torch.device("cpu"),
    )


def seconds(work: str, runs: range, shape: str) -> tuple[float, float]:
    """Wall and CPU time of training alone."""
    torch.set_num_threads(1)
    hidden, batch_size = SHAPES[shape]
    with tempfile.TemporaryDirectory() as folder:
        members = [member(i, hidden, Path(folder)) for i in runs]
        wall, cpu = time.perf_counter(), time.process_time()
        {"plain": plain, "stacked": stacked}[work](members, batch_size)
        return time.perf_counter() - wall, time.process_time() - cpu


def figure(name: str, values: list[float], target: float | None = None) -> Figure:
    low, _, high = quantiles(values, n=4)
    return Figure(name, median(values), (low, high), target, larger_is_better=True)


def measure() -> Iterator[Figure]:
    halves = [range(start, RUNS, PROCESSES) for start in range(PROCESSES)]
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        for shape in SHAPES:
            wall: list[float] = []
            cpu: list[float] = []
            for i in range(ROUNDS + 1):
                ((plain_wall, plain_cpu),) = pool.map(partial(seconds, "plain", shape=shape), [range(RUNS)])
                parts = list(pool.map(partial(seconds, "stacked", shape=shape), halves))
                if i:  # the first round only warms up
                    wall.append(plain_wall / max(own for own, _ in parts))
                    cpu.append(plain_cpu / sum(own for _, own in parts))
            yield figure(f"{RUNS} runs of {shape}: wall time, plain over stacked", wall, TARGETS.get(shape))
            yield figure(f"{RUNS} runs of {shape}: CPU time, plain over stacked", cpu)


if __name__ == "__main__":
    _measure.main(__doc__, "stacked", measure, {})
