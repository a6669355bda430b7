"""The audit of one training run: against 5-fold cross-validation, and how well it counts.

python -m benchmarks.one_run folds [--seeds 3]  # CLINC150 and 10,000 of Fashion-MNIST (an MLP on pixels)
python -m benchmarks.one_run counts             # digits and CLINC150, symmetric and pairwise noise
python -m benchmarks.one_run folded             # digits with 40 % pairwise noise, where one run fails, by 5 folds
python -m benchmarks.one_run few [--seeds 3]    # few rows of two classes that hardly touch, three labels wrong

Both with the same loss (Lq, q = 0.7) and the same epochs. LABELNOISE_DATA says where the data lie.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import product
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
FEW, WRONG = (700, 1500), 3
RATES = (0.2, 0.4)


Maker = Callable[[Path, float, int, str], tuple[dict[str, Any], np.ndarray]]


def clinc150(folder: Path, rate: float, seed: int, kind: str) -> tuple[dict[str, Any], np.ndarray]:
    data = datasets.load("clinc150")
    given, wrong = corrupted(data.train.labels, rate, seed, kind)
    pyarrow.csv.write_csv(pa.table({"text": list(data.train.inputs), "label": given}), folder / "data.csv")
    return {"data": folder / "data.csv", "text": "text", "label": "label"}, wrong


def fashion_mnist(folder: Path, rate: float, seed: int, kind: str) -> tuple[dict[str, Any], np.ndarray]:
    data = datasets.load("fashion-mnist")
    rows = torch.from_numpy(np.random.default_rng(seed).permutation(len(data.train.labels))[:SAMPLES])
    given, wrong = corrupted(data.train.labels[rows], rate, seed, kind)
    np.savez(folder / "data.npz", features=data.train.inputs[rows].flatten(1).numpy(), labels=given)
    return {"data": folder / "data.npz"}, wrong


def corrupted(true: torch.Tensor, rate: float, seed: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    record = noise.build(kind, rate=rate, num_classes=int(true.max()) + 1)(
        true, generator=child_generator(seed, "noise")
    )
    return record.labels.numpy(), record.flipped.numpy()


def digits(folder: Path, rate: float, seed: int, kind: str) -> tuple[dict[str, Any], np.ndarray]:
    data = datasets.load("digits")
    given, wrong = corrupted(data.train.labels, rate, seed, kind)
    np.savez(folder / "data.npz", features=data.train.inputs.flatten(1).numpy(), labels=given)
    return {"data": folder / "data.npz"}, wrong


def audited(where: dict[str, Any], out: Path, seed: int, **settings: Any) -> tuple[np.ndarray, dict[str, Any], float]:
    start = time.process_time()
    found = labelnoise.fit(**where, out=out, loss="gce", budget="none", refine=False, workers=1, seed=seed, **settings)
    seconds = time.process_time() - start
    return pyarrow.csv.read_csv(out / "labels.csv").column("p_wrong").to_numpy(), found.summary, seconds


def against_folds(seeds: int) -> None:
    names = ("AUROC one run", "AUROC 5 folds", "count one run", "count 5 folds", "truth", "cost one / folds")
    for make in (clinc150, fashion_mnist):
        for rate in RATES:
            rows: list[tuple[float, ...]] = []
            for seed in range(seeds):
                with tempfile.TemporaryDirectory() as name:
                    where, wrong = make(Path(name), rate, seed, "symmetric")
                    one, one_summary, once = audited(where, Path(name) / "one", seed, epochs=EPOCHS)
                    *_, least = audited(where, Path(name) / "least", seed, epochs=1)
                    cross, cross_summary, both = audited(where, Path(name) / "cross", seed, epochs=EPOCHS, folds=FOLDS)
                counts = (summary["estimated_error_rate"] for summary in (one_summary, cross_summary))
                # The cross-validating fit trains the one run as well, which is no cost of its audit; reading the data
                # and the audit itself are costs of both.
                training = (once - least) * EPOCHS / (EPOCHS - 1)
                ranked = (roc_auc_score(wrong, p_wrong) for p_wrong in (one, cross))
                rows.append((*ranked, *counts, wrong.mean(), once / (both - training)))
            for label, values in zip(names, zip(*rows, strict=True), strict=True):
                spread = f" ± {stdev(values):.4f}" if seeds > 1 else ""
                print(f"{make.__name__} {rate}: {label:16s} {mean(values):.4f}{spread}", flush=True)


def counted(makers: Sequence[Maker], kinds: Sequence[str], rates: Sequence[float], **settings: Any) -> None:
    print("data      noise      truth  class  auto (interval)      AUROC", flush=True)
    for make, kind, rate in product(makers, kinds, rates):
        with tempfile.TemporaryDirectory() as name:
            where, wrong = make(Path(name), rate, 0, kind)
            p_wrong, found, _ = audited(where, Path(name) / "one", 0, **settings)
        low, high = found["estimated_error_rate_low"], found["estimated_error_rate_high"]
        print(
            f"{make.__name__:9s} {kind:10s} {wrong.mean():.3f}  "
            f"{found['error_rate_if_noise_depends_on_the_class']:.3f}  {found['estimated_error_rate']:.3f} "
            f"({low:.3f}-{high:.3f})  {roc_auc_score(wrong, p_wrong):.4f}",
            flush=True,
        )


def few(seeds: int) -> None:
    for rows in FEW:
        for seed in range(seeds):
            random = np.random.default_rng(seed)
            true = random.integers(0, 2, rows)
            features = 0.4 * random.standard_normal((rows, 3)) + 4 * true[:, None] * np.eye(3)[0]
            wrong = np.arange(rows) < WRONG
            with tempfile.TemporaryDirectory() as name:
                data, out = Path(name) / "data.npz", Path(name) / "one"
                np.savez(data, features=features.astype(np.float32), labels=np.where(wrong, 1 - true, true))
                _, found, _ = audited({"data": data}, out, seed, folds=0)
                flagged = pyarrow.csv.read_csv(out / "labels.csv").column("is_issue").to_numpy(zero_copy_only=False)
            low, high = found["estimated_error_rate_low"], found["estimated_error_rate_high"]
            print(
                f"{rows} rows, seed {seed}: {flagged.sum()} flagged, {flagged[:WRONG].sum()} of {WRONG} wrong ones; "
                f"truth {WRONG / rows:.3f}, estimated {found['estimated_error_rate']:.3f} ({low:.3f}-{high:.3f})",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("folds", "counts", "folded", "few"))
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    if options.what == "folds":
        against_folds(options.seeds)
    elif options.what == "counts":
        counted((digits, clinc150), ("symmetric", "pair_flip"), (0.1, 0.2, 0.4))
    elif options.what == "folded":
        counted((digits,), ("pair_flip",), (0.4,), folds=FOLDS)
    else:
        few(options.seeds)


if __name__ == "__main__":
    main()
