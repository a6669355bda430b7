"""The audit of one training run against 5-fold cross-validation of the same loss and epochs: ranking and cost.

python -m benchmarks.one_run [--seeds 3]

CLINC150 and 10,000 of Fashion-MNIST (an MLP on pixels), with symmetric noise. LABELNOISE_DATA says where the data lie.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import torch
from sklearn.metrics import roc_auc_score

import labelnoise
from labelnoise import datasets, noise
from labelnoise.training import child_generator

SAMPLES, FOLDS, EPOCHS = 10_000, 5, 20
RATES = (0.2, 0.4)


def clinc150(folder: Path, rate: float, seed: int) -> tuple[dict[str, Any], np.ndarray]:
    data = datasets.load("clinc150")
    given, wrong = corrupted(data.train.labels, rate, seed)
    pyarrow.csv.write_csv(pa.table({"text": list(data.train.inputs), "label": given}), folder / "data.csv")
    return {"data": folder / "data.csv", "text": "text", "label": "label"}, wrong


def fashion_mnist(folder: Path, rate: float, seed: int) -> tuple[dict[str, Any], np.ndarray]:
    data = datasets.load("fashion-mnist")
    rows = torch.from_numpy(np.random.default_rng(seed).permutation(len(data.train.labels))[:SAMPLES])
    given, wrong = corrupted(data.train.labels[rows], rate, seed)
    np.savez(folder / "data.npz", features=data.train.inputs[rows].flatten(1).numpy(), labels=given)
    return {"data": folder / "data.npz"}, wrong


def corrupted(true: torch.Tensor, rate: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    record = noise.build("symmetric", rate=rate, num_classes=int(true.max()) + 1)(
        true, generator=child_generator(seed, "noise")
    )
    return record.labels.numpy(), record.flipped.numpy()


def audited(where: dict[str, Any], wrong: np.ndarray, out: Path, seed: int, folds: int) -> tuple[float, float, float]:
    start = time.process_time()
    found = labelnoise.fit(
        **where, out=out, loss="gce", epochs=EPOCHS, budget="none", refine=False, folds=folds, workers=1, seed=seed
    )
    seconds = time.process_time() - start
    p_wrong = pyarrow.csv.read_csv(out / "labels.csv").column("p_wrong").to_numpy()
    return roc_auc_score(wrong, p_wrong), found.summary["estimated_error_rate"], seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    for make in (clinc150, fashion_mnist):
        for rate in RATES:
            rows: list[tuple[float, ...]] = []
            for seed in range(options.seeds):
                with tempfile.TemporaryDirectory() as name:
                    folder = Path(name)
                    where, wrong = make(folder, rate, seed)
                    one = audited(where, wrong, folder / "one", seed, folds=0)
                    cross = audited(where, wrong, folder / "cross", seed, folds=FOLDS)
                # The cross-validating fit also trains the one run, which is not its audit's cost.
                rows.append((one[0], cross[0], one[1], cross[1], wrong.mean(), one[2] / (cross[2] - one[2])))
                print(f"    {make.__name__} {rate} seed {seed}: {[round(value, 4) for value in rows[-1]]}", flush=True)
            columns = list(zip(*rows, strict=True))
            names = ("AUROC one run", "AUROC 5 folds", "count one run", "count 5 folds", "truth", "cost one / folds")
            for label, values in zip(names, columns, strict=True):
                print(f"{make.__name__} {rate}: {label:16s} {mean(values):.4f} ± {stdev(values):.4f}", flush=True)


if __name__ == "__main__":
    main()
