"""The training loop against the public repositories' loop: images a second, accuracy, bookkeeping.

python -m benchmarks.training [--check] [--out FILE]

Both train the same network from the same weights by the same SGD on random crops and flips of 32x32 photographs: Lq
with q = 0.7, batches of 128, one thread. The public loop is written out below from AlanChou/Truncated-Loss and
torchvision: image by image through PIL, float32 in NCHW, softmax and power, ``loss.item()`` each step. Ours is
``training.train`` with what a study gives it, in the precision that ``auto`` comes to. What the network alone takes, on
one batch that is there already, bounds what any loop can gain. LABELNOISE_DATA says where CIFAR-10 lies; without it
speed is measured on random images, accuracy not at all.
"""

import math
import os
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from statistics import mean, stdev
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import _measure
from benchmarks._measure import DEVICE, Figure
from labelnoise import datasets, models, objectives
from labelnoise._types import Batch
from labelnoise.models import Normalize
from labelnoise.objectives import PrunedLoss
from labelnoise.training import (
    build_augment,
    build_schedule,
    child_generator,
    evaluate,
    open_fabric,
    resolve_precision,
    seeded,
    split_validation,
    train,
)
from labelnoise.training.record import Recorder

Q, BATCH, CLASSES, SHAPE, PADDING = 0.7, 128, 10, (3, 32, 32), 4
SEEDS, SAMPLES, TESTS = 3, 4000, 2000
EPOCHS = 2
"""In one measurement of the speed, so that what is done once a run counts little."""
WHOLE_SET = 50_000
PRODUCT = 1024
"""Side of the square matrices whose product is what this machine can do."""


class Network(NamedTuple):
    name: str
    settings: dict[str, int]
    images: int
    """In one measurement of the speed of a processor."""
    faster: float
    """Target: our images a second over the public loop's."""
    learning_rate: float
    epochs: int
    """For the accuracy; 0 leaves it out."""
    table: float | None = 0.1
    """Target: the per-sample table's share of an epoch, %."""


NETWORKS = {
    # The twenty operations of the table are a tenth of a millisecond a step, and nothing beside a ResNet's.
    "MLP": Network("mlp", {}, 2560, 6.0, 0.03, 10, table=None),
    "LeNet": Network("lenet", {}, 1280, 2.4, 0.05, 10, table=None),
    "ResNet-8": Network("resnet", {"depth": 8}, 640, 2.4, 0.1, 4),
    "ResNet-20": Network("resnet", {"depth": 20}, 384, 2.2, 0.1, 0),
}


class Photographs(Dataset[tuple[Tensor, int, int]]):
    """One image at a time, as torchvision's CIFAR10, RandomCrop, RandomHorizontalFlip, ToTensor and Normalize do it."""

    def __init__(self, images: Tensor, labels: Tensor, normalize: Normalize) -> None:
        self.images = images.permute(0, 2, 3, 1).contiguous().numpy()
        self.labels = labels.tolist()
        self.mean, self.std = normalize.mean.tolist(), normalize.std.tolist()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> tuple[Tensor, int, int]:
        image = ImageOps.expand(Image.fromarray(self.images[row]), border=PADDING, fill=0)
        top, left = (int(torch.randint(2 * PADDING + 1, (1,)).item()) for _ in range(2))
        image = image.crop((left, top, left + SHAPE[2], top + SHAPE[1]))
        if torch.rand(1) < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().to(torch.float32).div(255)
        mean, std = torch.as_tensor(self.mean), torch.as_tensor(self.std)
        if (std == 0).any():
            raise ValueError("std must not be 0")
        return pixels.sub_(mean.view(-1, 1, 1)).div_(std.view(-1, 1, 1)), self.labels[row], row


def public_training(network: nn.Module, optimizer: torch.optim.Optimizer, data: Photographs, *, epochs: int) -> None:
    loader = DataLoader(data, batch_size=BATCH, shuffle=True)
    network.train()
    for _ in range(epochs):
        total_loss, correct = 0.0, 0
        for batch in loader:
            inputs, labels = (part.to(DEVICE) for part in batch[:2])
            logits = network(inputs)
            p = logits.softmax(1).gather(1, labels.unsqueeze(1))
            loss = ((1 - p**Q) / Q).mean()
            total_loss += loss.item()
            correct += (logits.argmax(1) == labels).sum().item()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def our_training(network: nn.Module, optimizer: torch.optim.Optimizer, data: Batch, *, epochs: int, seed: int) -> None:
    train(
        network,
        objectives.build("gce", num_samples=len(data.labels), q=Q),
        data,
        Batch(data.inputs[:1], data.labels[:1], data.index[:1]),  # as good as none, for the public loop has none
        fabric=open_fabric(DEVICE, resolve_precision("auto", DEVICE)),
        optimizer=optimizer,
        schedule=build_schedule("multi_step", optimizer, epochs=epochs, steps_per_epoch=-(-len(data.labels) // BATCH)),
        epochs=epochs,
        batch_size=BATCH,
        generator=child_generator(seed, "order"),
        augment=build_augment("crop_flip", padding=PADDING),
    )


def build(
    network: Network, normalize: Normalize | None, *, seed: int = 0, fused: bool | None = None
) -> tuple[nn.Module, torch.optim.Optimizer]:
    """With ``normalize`` as a study builds it, without as the public repositories do."""
    with seeded(seed, "weights"):
        model = models.build(network.name, input_shape=SHAPE, num_classes=CLASSES, **network.settings)
    if normalize is not None:
        model = nn.Sequential(normalize, model).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model = model.to(DEVICE)
    return model, torch.optim.SGD(
        model.parameters(), lr=network.learning_rate, momentum=0.9, weight_decay=1e-4, fused=fused
    )


def photographs(count: int) -> tuple[Batch, Batch]:
    """So many of CIFAR-10's training images, every class as often, and test images; random ones where it is missing."""
    root = os.environ.get("LABELNOISE_DATA")
    if root is None:
        generator = torch.Generator().manual_seed(0)
        images = torch.randint(256, (count, *SHAPE), dtype=torch.uint8, generator=generator)
        random = Batch(images, torch.arange(count) % CLASSES, torch.arange(count))
        return random, random
    data = datasets.load("cifar10", root=root)
    chosen, tests = (
        part.take(split_validation(part.labels, fraction=size / len(part.labels), generator=torch.Generator())[1])
        for part, size in ((data.train, count), (data.test, TESTS))
    )
    return chosen._replace(index=torch.arange(count)), tests


def part_of(data: Batch, network: Network) -> Batch:
    """What one measurement of the speed trains on; a device needs more of them to be measured by."""
    return data.take(torch.arange(network.images if DEVICE == "cpu" else SAMPLES))


def network_alone(network: nn.Module, optimizer: torch.optim.Optimizer, inputs: Tensor, labels: Tensor) -> None:
    optimizer.zero_grad()
    nn.functional.cross_entropy(network(inputs), labels).backward()
    optimizer.step()


def repeated(work: Callable[[], object], times: int) -> None:
    for _ in range(times):
        work()


def speed(title: str, network: Network, data: Batch) -> Iterator[Figure]:
    normalize = Normalize.fit(data.inputs)
    data = part_of(data, network)
    inputs, labels = normalize(data.inputs[:BATCH]).to(DEVICE), data.labels[:BATCH].to(DEVICE)
    nchw, channels_last = build(network, None), build(network, None)
    channels_last[0].to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with FlopCounterMode(display=False) as counter:
        network_alone(*nchw, inputs, labels)
    steps = EPOCHS * len(data.labels) // BATCH
    flops = counter.get_total_flops() * steps
    square = torch.randn(PRODUCT, PRODUCT, device=DEVICE)
    products = max(1, round(flops / (2 * PRODUCT**3)))

    precision = resolve_precision("auto", DEVICE)
    ours, fused = f"ours, {precision}", f"ours, {precision}, SGD fused"
    alone, alone_last = "network alone, float32 NCHW", "network alone, float32 channels_last"
    last = inputs.to(memory_format=torch.channels_last)
    works = {
        ours: partial(our_training, *build(network, normalize), data, epochs=EPOCHS, seed=0),
        fused: partial(our_training, *build(network, normalize, fused=True), data, epochs=EPOCHS, seed=0),
        alone: partial(repeated, partial(network_alone, *nchw, inputs, labels), steps),
        alone_last: partial(repeated, partial(network_alone, *channels_last, last, labels), steps),
        "products": partial(repeated, partial(torch.mm, square, square), products),
    }
    shown = [ours, fused, alone, alone_last]
    if DEVICE == "cuda":  # on a processor it takes minutes to compile and gains little
        step = partial(network_alone, torch.compile(channels_last[0]), channels_last[1], last, labels)
        works[f"{alone_last}, compiled"] = partial(repeated, step, steps)
        shown.append(f"{alone_last}, compiled")
    public = partial(public_training, *build(network, None), Photographs(data.inputs, data.labels, normalize))
    found = _measure.ratios(partial(public, epochs=EPOCHS), works, rounds=5, device=DEVICE)
    by_name = {figure.name: figure for figure in found}
    for name in shown:
        low, high = by_name[name].quartiles or (math.nan, math.nan)
        target = network.faster if name == ours else None
        faster = 1 / by_name[name].value
        yield Figure(f"images/s over the public loop's, {title}, {name}", faster, (1 / high, 1 / low), target, True)
    share = flops / by_name[alone_last].value / (products * 2 * PRODUCT**3 / by_name["products"].value)
    yield Figure(f"% of a matrix product's FLOP/s, {title}, {alone_last}", 100 * share)


def accuracy(title: str, network: Network, training: Batch, test: Batch) -> Iterator[Figure]:
    """After the last epoch, with true labels."""
    normalize = Normalize.fit(training.inputs)
    test = Batch(*(part.to(DEVICE) for part in test))
    found: dict[str, list[float]] = {"the public loop": [], "ours": []}
    for seed in range(SEEDS):
        model, optimizer = build(network, None, seed=seed)
        with seeded(seed, "public loop"):
            dataset = Photographs(training.inputs, training.labels, normalize)
            public_training(model, optimizer, dataset, epochs=network.epochs)
        fabric = open_fabric(DEVICE)
        normalized = nn.Sequential(normalize, model).to(DEVICE)
        found["the public loop"].append(evaluate(normalized, test, fabric=fabric)[0])
        model, optimizer = build(network, normalize, seed=seed)
        our_training(model, optimizer, training, epochs=network.epochs, seed=seed)
        found["ours"].append(evaluate(model, test, fabric=fabric)[0])
    for name, values in found.items():
        yield Figure(f"test accuracy, %, {title}, {name}, mean of {SEEDS} seeds", 100 * mean(values))
        yield Figure(f"test accuracy, %, {title}, {name}, standard deviation", 100 * stdev(values))
    theirs, ours = found.values()
    error = ((stdev(theirs) ** 2 + stdev(ours) ** 2) / SEEDS) ** 0.5
    # Student's t of 4 degrees of freedom is beyond 2.78 either way in 5 % of cases.
    below = (mean(theirs) - mean(ours)) / error
    yield Figure(f"accuracy below the public loop's, {title}, standard errors", below, target=2.78)


class Nothing(nn.Module):
    """A loss of no cost, so that what remains is the bookkeeping."""

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return logits[:, 0]


def bookkeeping(rows: tuple[Tensor, ...], logits: Tensor, labels: Tensor) -> dict[str, Callable[[], None]]:
    """An epoch's, of the whole set."""
    table = PrunedLoss(Nothing(), WHOLE_SET, warmup=1, period=1, update="table", on_empty="keep_previous").to(DEVICE)
    nothing = Batch(torch.empty(WHOLE_SET), torch.zeros(WHOLE_SET), torch.empty(0))
    recorder = Recorder(nothing, 1, torch.device(DEVICE))

    def pruned() -> None:
        for indices in rows:
            table(logits[: len(indices)], labels[: len(indices)], indices)
        table.end_epoch(1, lambda: torch.empty(0))

    def recorded() -> None:
        for indices in rows:
            recorder.add(1, logits[: len(indices)], labels[: len(indices)], indices)

    return {"the per-sample table": pruned, "the training record": recorded}


def shares(title: str, network: Network, data: Batch) -> Iterator[Figure]:
    """Of the bookkeeping in an epoch, which is extrapolated from a part of one."""
    rows = torch.randperm(WHOLE_SET, generator=torch.Generator().manual_seed(0)).to(DEVICE).split(BATCH)
    logits = 3 * torch.randn(BATCH, CLASSES, generator=torch.Generator().manual_seed(0)).to(DEVICE)
    normalize = Normalize.fit(data.inputs)
    data = part_of(data, network)
    works = bookkeeping(rows, logits, torch.arange(BATCH, device=DEVICE) % CLASSES)
    base = partial(our_training, *build(network, normalize), data, epochs=EPOCHS, seed=0)
    for figure in _measure.ratios(base, works, rounds=5, device=DEVICE):
        low, high = figure.quartiles or (math.nan, math.nan)
        percent = 100 * EPOCHS * len(data.labels) / WHOLE_SET
        target = network.table if figure.name == "the per-sample table" else None
        name = f"% of an epoch of {WHOLE_SET} samples, {title}, {figure.name}"
        yield Figure(name, percent * figure.value, (percent * low, percent * high), target)


def measure() -> Iterator[Figure]:
    data, test = photographs(SAMPLES)
    for part, (title, network) in product((speed, shares), NETWORKS.items()):
        yield from part(title, network, data)
    if "LABELNOISE_DATA" in os.environ:
        for title, network in NETWORKS.items():
            if network.epochs:
                yield from accuracy(title, network, data, test)


if __name__ == "__main__":
    _measure.main(__doc__, "training", measure, {})
