"""Small data of every kind, easy to learn, whose wrong labels are known."""

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from labelnoise.datasets._own import Columns, read_own
from labelnoise.fitting.train import Trained

CLASSES = ("cat", "dog")
WORDS = {"cat": ["purr", "meow", "whiskers"], "dog": ["bark", "fetch", "leash"]}

OWN_CODE = """
import torch
from torch import nn
import torch.nn.functional as F

class Loss(nn.Module):
    def __init__(self, reduction="mean"):
        super().__init__()
        self.reduction = reduction

    def forward(self, logits, labels):
        if labels.shape != (logits.shape[0], *logits.shape[2:]) [: logits.ndim - 1]:
            raise ValueError("labels do not fit")
        return F.cross_entropy(logits.float(), labels, reduction=self.reduction)

class NaNLoss(Loss):
    def forward(self, logits, labels):
        value = super().forward(logits, labels)
        return value * float("nan") if self.reduction == "mean" else value

class NoLoss(Loss):
    def forward(self, logits, labels):
        return logits.sum()

class BrokenLoss(Loss):
    def __init__(self, reduction="mean"):
        raise RuntimeError("boom")

class OfTwoClasses(nn.CrossEntropyLoss):
    def __init__(self, reduction="mean"):
        super().__init__(weight=torch.tensor([1.0, 2.0]), reduction=reduction)

    def forward(self, logits, labels):
        if labels.shape != (logits.shape[0], *logits.shape[2:]) [: logits.ndim - 1]:
            raise ValueError("labels do not fit")
        return super().forward(logits.float(), labels)

class NoMeanLoss(Loss):
    def __init__(self, reduction="none"):
        super().__init__(reduction)

def linear(*, input_shape, num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(torch.Size(input_shape).numel(), num_classes))

def normalized(*, input_shape, num_classes):
    return nn.Sequential(nn.BatchNorm1d(input_shape[0]), nn.Linear(input_shape[0], num_classes))

def narrow(*, input_shape, num_classes):
    return linear(input_shape=input_shape, num_classes=1)

def broken(*, input_shape, num_classes):
    raise RuntimeError("boom")

def no_module(*, input_shape, num_classes):
    return 3
"""


class Noisy(NamedTuple):
    """Data on disk and the truth about them."""

    path: Path
    options: dict
    """What ``fit`` must be told."""
    given: np.ndarray
    wrong: np.ndarray


def read(data):
    """As the fit reads it, with the columns and the image size it is told."""
    options = dict(data.options)
    labels, size = options.pop("labels", None), options.pop("image_size", None)
    columns = Columns(**options)
    return read_own(data.path, columns, labels=labels), columns, size


def own_code(folder):
    """A file with losses and networks of the user's own."""
    path = folder / "mine.py"
    path.write_text(OWN_CODE)
    return path


def write_csv(path, header, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def read_csv(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def noisy_labels(n, *, wrong=0.15, seed=0):
    """True class numbers, given names, and which are wrong: an exact share, evenly over the classes."""
    true = np.arange(n) % 2
    is_wrong = np.zeros(n, dtype=bool)
    is_wrong[np.random.default_rng(seed).permutation(n)[: round(wrong * n)]] = True
    return true, np.array(CLASSES)[np.where(is_wrong, 1 - true, true)], is_wrong


def table(folder, n=160, *, name="table.csv", **noise):
    true, given, wrong = noisy_labels(n, **noise)
    random = np.random.default_rng(1)
    size = 4 * true - 2 + random.normal(size=n)
    colour = np.where(random.random(n) < 0.1, "red", np.array(["white", "brown"])[true])
    rows = [
        (f"{x:.3f}" if i % 9 else "", c, "kg", y) for i, (x, c, y) in enumerate(zip(size, colour, given, strict=True))
    ]
    path = write_csv(folder / name, ("size", "colour", "unit", "label"), rows)
    return Noisy(path, {"label": "label"}, given, wrong)


def texts(folder, n=160, *, name="texts.csv", **noise):
    true, given, wrong = noisy_labels(n, **noise)
    random = np.random.default_rng(1)
    rows = [(" ".join(random.choice(WORDS[CLASSES[c]], 3)), label) for c, label in zip(true, given, strict=True)]
    path = write_csv(folder / name, ("text", "label"), rows)
    return Noisy(path, {"label": "label", "text": "text"}, given, wrong)


def _pixels(true, size=8):
    return (np.random.default_rng(1).integers(0, 60, (len(true), size, size)) + 150 * true[:, None, None]).astype("u1")


def image_folder(folder, n=80, **noise):
    true, given, wrong = noisy_labels(n, **noise)
    for row, (pixels, label) in enumerate(zip(_pixels(true), given, strict=True)):
        (folder / "pets" / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / "pets" / label / f"{row:03}.png")
    order = sorted(range(n), key=lambda row: f"{given[row]}/{row:03}")  # as the folder is read
    return Noisy(folder / "pets", {"image_size": 8}, given[order], wrong[order])


def image_table(folder, n=80, **noise):
    pets = image_folder(folder, n, **noise)
    names = sorted(path.relative_to(pets.path).as_posix() for path in pets.path.rglob("*.png"))
    path = write_csv(folder / "pets.csv", ("file", "label"), [(name, name.partition("/")[0]) for name in names])
    return pets._replace(path=path, options={"label": "label", "image": "file", "root": pets.path, "image_size": 8})


def features(folder, n=160, *, suffix=".npz", **noise):
    true, given, wrong = noisy_labels(n, **noise)
    rows = np.random.default_rng(1).normal(size=(n, 3)) + 4 * true[:, None]
    path = folder / f"features{suffix}"
    if suffix == ".npz":
        np.savez(path, features=rows, labels=given)
        return Noisy(path, {}, given, wrong)
    np.save(path, rows)
    np.save(folder / "labels.npy", given)
    return Noisy(path, {"labels": folder / "labels.npy"}, given, wrong)


def image_array(folder, n=80, **noise):
    true, given, wrong = noisy_labels(n, **noise)
    np.savez(folder / "images.npz", images=_pixels(true), labels=given)
    return Noisy(folder / "images.npz", {}, given, wrong)


def npy(folder, n=160, **noise):
    return features(folder, n, suffix=".npy", **noise)


KINDS = {
    "table": table,
    "text": texts,
    "image folder": image_folder,
    "image table": image_table,
    "npz features": features,
    "npz images": image_array,
    "npy": npy,
}


def trained(prepared, *, training=0.5, validation=0.5, held=None):
    """A run that gives every sample of a part the same probability of class 1."""
    n, m = len(prepared.training.labels), len(prepared.validation.labels)

    def both(count, probability):
        return torch.tensor([[1 - probability, probability]]).expand(count, 2)

    return Trained(
        history=[],
        best_epoch=1,
        state={},
        index=prepared.training.index,
        trajectory=both(n, training),
        mean_margin=torch.arange(n) / 10,
        last_loss=torch.arange(n) / 100,
        epochs_pruned=None,
        validation=both(m, validation),
        test_accuracy=None,
        held=None if held is None else both(*held),
    )
