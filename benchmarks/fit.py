"""`labelnoise fit` with its defaults on three kinds of data with wrong labels, beside cross entropy in the same fit.

python -m benchmarks.fit [texts | images | classes | table | clean] [--seeds 3] [--budget 10m]

texts: CLINC150, 40 % symmetric. images: 3,000 Fashion-MNIST images as PNG in folders, 30 %. classes: 10,000 of
CIFAR-100's, 40 %. table: simulated, numbers and categories, 30 %. clean: digits and CLINC150 as they are. Test labels
score only; LABELNOISE_DATA has the data.
"""

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import torch
from PIL import Image
from sklearn.datasets import make_classification
from sklearn.metrics import roc_auc_score

import labelnoise
from labelnoise import datasets, noise
from labelnoise.datasets import data_root
from labelnoise.training import child_generator

TABLE_ROWS = 6000
CUT = (0, 1, 2, 3)  # columns of the table that become categories


def noisy(labels: np.ndarray, rate: float, seed: int) -> np.ndarray:
    true = torch.from_numpy(labels).long()
    model = noise.build("symmetric", rate=rate, num_classes=int(true.max()) + 1)
    return model(true, generator=child_generator(seed, "noise")).labels.numpy() if rate else labels


def write_csv(path: Path, columns: dict[str, Any]) -> Path:
    pyarrow.csv.write_csv(pa.table(columns), path)
    return path


def texts(folder: Path, seed: int, rate: float = 0.4) -> tuple[dict[str, Any], np.ndarray]:
    data = datasets.load("clinc150")
    names, true = np.array(data.class_names), data.train.labels.numpy()
    given = noisy(true, rate, seed)
    train = write_csv(folder / "train.csv", {"text": list(data.train.inputs), "label": names[given]})
    test = write_csv(folder / "test.csv", {"text": list(data.test.inputs), "label": names[data.test.labels.numpy()]})
    return {"data": train, "test": test, "text": "text", "label": "label"}, given != true


def images(
    folder: Path, seed: int, name: str = "fashion-mnist", count: int = 3000, rate: float = 0.3
) -> tuple[dict[str, Any], np.ndarray]:
    data = datasets.load(name)
    rows = np.random.default_rng(seed).permutation(len(data.train.labels))[:count]
    true = data.train.labels.numpy()[rows]
    given = noisy(true, rate, seed)
    parts = {
        "train": (data.train.inputs.numpy()[rows], given),
        "test": (data.test.inputs.numpy(), data.test.labels.numpy()),
    }
    places: dict[str, bool] = {}
    for part, (pixels, labels) in parts.items():
        for position, (picture, label) in enumerate(zip(pixels, labels, strict=True)):
            place = folder / part / f"{label}" / f"{position:05d}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture.transpose(1, 2, 0).squeeze()).save(place)
            if part == "train":
                places[place.as_posix()] = bool(given[position] != true[position])
    return {"data": folder / "train", "test": folder / "test"}, np.array([places[name] for name in sorted(places)])


def many_classes(folder: Path, seed: int) -> tuple[dict[str, Any], np.ndarray]:
    return images(folder, seed, "cifar100", count=10_000, rate=0.4)


def table(folder: Path, seed: int, rate: float = 0.3) -> tuple[dict[str, Any], np.ndarray]:
    values, labels = make_classification(
        TABLE_ROWS, 16, n_informative=10, n_redundant=2, n_classes=4, class_sep=1.2, random_state=seed
    )
    given = noisy(labels, rate, seed)
    columns: dict[str, Any] = {f"x{column}": values[:, column] for column in range(values.shape[1])}
    for column in CUT:
        level = np.digitize(values[:, column], np.quantile(values[:, column], [0.2, 0.4, 0.6, 0.8]))
        columns[f"x{column}"] = np.array(["very low", "low", "middling", "high", "very high"])[level]
    half = TABLE_ROWS // 2
    train = write_csv(folder / "train.csv", {k: v[:half] for k, v in columns.items()} | {"y": given[:half]})
    test = write_csv(folder / "test.csv", {k: v[half:] for k, v in columns.items()} | {"y": labels[half:]})
    return {"data": train, "test": test, "label": "y"}, (given != labels)[:half]


def clean_digits(folder: Path, seed: int) -> tuple[dict[str, Any], np.ndarray]:
    data = datasets.load("digits")
    for name, part in (("train", data.train), ("test", data.test)):
        np.savez(folder / f"{name}.npz", features=part.inputs.flatten(1).float().numpy(), labels=part.labels.numpy())
    return {"data": folder / "train.npz", "test": folder / "test.npz"}, np.zeros(len(data.train.labels), dtype=bool)


def clean_texts(folder: Path, seed: int) -> tuple[dict[str, Any], np.ndarray]:
    return texts(folder, seed, rate=0.0)


KINDS: dict[str, dict[str, Callable[..., tuple[dict[str, Any], np.ndarray]]]] = {
    "texts": {"CLINC150, 40 %": texts},
    "images": {"Fashion-MNIST as PNG, 30 %": images},
    "classes": {"CIFAR-100 as PNG, 40 %": many_classes},
    "table": {"simulated table, 30 %": table},
    "clean": {"digits, clean": clean_digits, "CLINC150, clean": clean_texts},
}


def one(make: Callable[..., tuple[dict[str, Any], np.ndarray]], seed: int, budget: str) -> dict[str, float]:
    folder = Path(tempfile.mkdtemp())
    try:
        where, wrong = make(folder, seed)
        start = time.perf_counter()
        found = labelnoise.fit(**where, out=folder / "fit", seed=seed, budget=budget)
        seconds = time.perf_counter() - start
        by_name = {row["name"]: row for row in found.metrics["candidates"]}
        audit = pyarrow.csv.read_csv(folder / "fit" / "labels.csv").to_pydict()
    finally:
        shutil.rmtree(folder)
    flagged, p_wrong = np.array(audit["is_issue"]), np.array(audit["p_wrong"])
    print(f"    seed {seed}: {found.metrics['loss']}; {' '.join(found.metrics['reasons'])}", flush=True)
    for name, row in by_name.items():
        values = {key: round(row[key], 3) for key in row if isinstance(row[key], float)}
        print(f"        {name}: {json.dumps(values)}", flush=True)
    scores = {
        "fit": found.metrics["test_accuracy_best"],
        "flagged": flagged.mean(),
        "estimated": found.summary["estimated_error_rate"],
        "wrong": wrong.mean(),
        "seconds": seconds,
    }
    if "cce" in by_name:  # which a budget may have dropped
        scores |= {f"cce {epoch}": by_name["cce"][f"test_accuracy_{epoch}"] for epoch in ("best", "last")}
    if wrong.any():
        hits = (flagged & wrong).sum()
        scores |= {
            "auroc": roc_auc_score(wrong, p_wrong),
            "precision": hits / flagged.sum(),
            "recall": hits / wrong.sum(),
        }
    scores = {name: float(value) for name, value in scores.items()}
    print(f"        {json.dumps({name: round(value, 3) for name, value in scores.items()})}", flush=True)
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", nargs="?", choices=KINDS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", default="10m", help="of each fit; the default of fit on a processor, or none")
    options = parser.parse_args()
    data_root(None)
    for kind in [options.kind] if options.kind else KINDS:
        for title, make in KINDS[kind].items():
            print(title, flush=True)
            runs = [one(make, seed, options.budget) for seed in range(options.seeds)]
            for name in runs[0]:
                values = [run[name] for run in runs]
                spread = f" ± {stdev(values):.3f}" if len(values) > 1 else ""
                print(f"    {name:10s} {mean(values):8.3f}{spread}", flush=True)


if __name__ == "__main__":
    main()
