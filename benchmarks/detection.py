"""How well wrong labels are told from class probabilities: ours, argmax disagreement, and cleanlab where installed.

python -m benchmarks.detection FOLDER           # every .npz of pred_probs, given_labels, true_labels
python -m benchmarks.detection --injected NAME  # noise injected into digits, clinc150 or fashion-mnist, 5 folds

Nothing is fitted to the true labels; they only score.
"""

import argparse
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from torch import nn

from labelnoise import datasets, features, noise
from labelnoise.audit import AuditWarning, audit_labels
from labelnoise.training import child_generator

try:
    from cleanlab.count import num_label_issues
    from cleanlab.filter import find_label_issues
except ImportError:
    find_label_issues = None

LARGEST = 12_000  # samples of a data set that noise is injected into
NOISES = ("symmetric", "pair_flip", "instance_dependent")
EPOCHS = {"digits": (2, 15), "clinc150": (6, 12), "fashion-mnist": (2, 8)}  # of the weak and of the strong network


class Case(NamedTuple):
    name: str
    pred_probs: np.ndarray
    given: np.ndarray
    true: np.ndarray


def f1(flagged: np.ndarray, wrong: np.ndarray) -> float:
    return 2 * (flagged & wrong).sum() / max(1, flagged.sum() + wrong.sum())


def best_f1(p_wrong: np.ndarray, wrong: np.ndarray) -> float:
    found = np.cumsum(wrong[np.argsort(-p_wrong)])
    return float((2 * found / (np.arange(1, len(wrong) + 1) + wrong.sum())).max())


def calibration_error(p_wrong: np.ndarray, wrong: np.ndarray) -> float:
    bins = np.minimum((p_wrong * 15).astype(int), 14)
    return sum(abs((p_wrong - wrong)[bins == b].sum()) for b in range(15)) / len(wrong)


def report(case: Case) -> None:
    wrong, rows = case.given != case.true, np.arange(len(case.given))
    own = case.pred_probs[rows, case.given].astype(np.float64)  # isotonic regression divides by differences
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AuditWarning)
        found = audit_labels(case.pred_probs, case.given)
        by_class = audit_labels(case.pred_probs, case.given, assume="class")
        short = audit_labels(case.pred_probs, case.given, max_false_flags=0.1)
    estimate, disagrees = found.estimate, case.pred_probs.argmax(1) != case.given
    warned = ", warned of" if found.disagreement_rises else ""
    print(f"\n{case.name}: {len(wrong):,} samples, {wrong.mean():.4f} wrong{warned}")
    print(f"  count   ours {estimate.rate:.4f} [{estimate.low:.4f}, {estimate.high:.4f}]", end="")
    print(f", --assume class {by_class.estimate.rate:.4f}, argmax {disagrees.mean():.4f}", end="")
    if find_label_issues is not None:
        print(f", cleanlab {num_label_issues(case.given, case.pred_probs) / len(wrong):.4f}", end="")
    print(f"\n  flagged ours {found.is_issue.mean():.4f}", end="")
    if 0 < wrong.sum() < len(wrong):
        print(
            f"\n  F1      ours {f1(found.is_issue, wrong):.4f} (best threshold {best_f1(found.p_wrong, wrong):.4f})",
            end="",
        )
        print(f", --assume class {f1(by_class.is_issue, wrong):.4f}, argmax {f1(disagrees, wrong):.4f}", end="")
        if find_label_issues is not None:
            print(f", cleanlab {f1(find_label_issues(case.given, case.pred_probs), wrong):.4f}", end="")
        print(f"\n  AUROC   ours {roc_auc_score(wrong, found.p_wrong):.4f}", end="")
        print(f", self-confidence {roc_auc_score(wrong, -own):.4f}")
        to_truth = IsotonicRegression(increasing=False).fit(own, wrong).predict(own)
        brier, best = ((found.p_wrong - wrong) ** 2).mean(), ((to_truth - wrong) ** 2).mean()
        print(f"  p_wrong ECE {calibration_error(found.p_wrong, wrong):.4f}, Brier {brier:.4f}", end="")
        print(f" (isotonic fit of self-confidence to the truth {best:.4f})")
        if short.is_issue.any():
            print(f"  --max-false-flags .1: precision {wrong[short.is_issue].mean():.4f}", end="")
            print(f", recall {short.is_issue[wrong].mean():.4f}", end="")
    print()


def from_files(folder: Path) -> Iterator[Case]:
    for path in sorted(folder.glob("*.npz")):
        with np.load(path, allow_pickle=False) as arrays:
            yield Case(path.stem, *(arrays[name] for name in ("pred_probs", "given_labels", "true_labels")))


def injected(name: str) -> Iterator[Case]:
    data = datasets.load(name)
    inputs = data.train.inputs
    if name == "clinc150":
        inputs = features.build("lsa", components=256).fit(inputs).transform(inputs)
    elif inputs.dtype == torch.uint8:
        inputs = inputs / 255
    rows = torch.randperm(len(data.true_labels), generator=torch.Generator().manual_seed(0))
    rows = rows[: len(rows) if name == "clinc150" else LARGEST]
    inputs, true, k = inputs[rows].flatten(1), data.true_labels[rows], len(data.class_names)
    grid = [("symmetric", 0.0), *((kind, rate) for kind in NOISES for rate in (0.1, 0.2, 0.4))]
    for kind, rate in grid:
        known = {"rate": rate, "num_classes": k, "features": inputs}
        settings = {key: known[key] for key in noise.settings_of(kind) if key in known}
        given = noise.build(kind, **settings)(true, generator=child_generator(0, "noise")).labels
        for strength, hidden, epochs in zip(("weak", "strong"), (0, 256), EPOCHS[name], strict=True):
            pred_probs = np.zeros((len(true), k), dtype=np.float32)
            folds = StratifiedKFold(5, shuffle=True, random_state=0)
            for fold, (learn, predict) in enumerate(folds.split(pred_probs, given)):
                pred_probs[predict] = fit_predict(inputs[learn], given[learn], inputs[predict], k, hidden, epochs, fold)
            yield Case(f"{name} {kind} {rate:.0%} {strength}", pred_probs, given.numpy(), true.numpy())


def fit_predict(
    inputs: torch.Tensor, labels: torch.Tensor, others: torch.Tensor, k: int, hidden: int, epochs: int, seed: int
) -> np.ndarray:
    torch.manual_seed(seed)
    width = inputs.shape[1]
    layers = [nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, k)] if hidden else [nn.Linear(width, k)]
    model = nn.Sequential(*layers)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3 if hidden else 3e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(labels)).split(128):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs[rows]), labels[rows]).backward()
            optimizer.step()
    with torch.no_grad():
        return model(others).softmax(1).numpy()


def main() -> None:
    parser = argparse.ArgumentParser()
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("folder", nargs="?", type=Path)
    source.add_argument("--injected", choices=sorted(EPOCHS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    for case in injected(options.injected) if options.injected else from_files(options.folder):
        report(case)


if __name__ == "__main__":
    main()
