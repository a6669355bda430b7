"""What an audit costs: CPU time of one thread, beside cleanlab's batched count where installed, and memory (Linux).

python -m benchmarks.audit_speed
"""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch

from labelnoise.audit import audit_labels

try:
    from cleanlab.experimental.label_issues_batched import find_label_issues_batched
except ImportError:
    find_label_issues_batched = None

ROUNDS = 5
SHAPES = ((1_000_000, 10), (100_000, 1000))


def arrays(n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, and labels of which a fifth is drawn anew."""
    random = np.random.default_rng(0)
    pred_probs = random.standard_normal((n, k), dtype=np.float32) * 2
    labels = np.where(random.random(n) < 0.2, random.integers(k, size=n), pred_probs.argmax(1))
    np.exp(pred_probs, out=pred_probs)
    pred_probs /= pred_probs.sum(1, keepdims=True)
    return pred_probs, labels


def kilobytes(field: str) -> int:
    """A line of this process's memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def cpu_seconds(work: Callable[..., object], *arguments: object, **settings: object) -> float:
    start = time.process_time()
    work(*arguments, **settings)
    return time.process_time() - start


def main() -> None:
    torch.set_num_threads(1)
    for n, k in SHAPES:
        pred_probs, labels = arrays(n, k)
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
        before = kilobytes("VmRSS")
        audit_labels(pred_probs, labels)
        more = (kilobytes("VmHWM") - before) * 1024 / pred_probs.nbytes
        ours, theirs = [], []
        for _ in range(ROUNDS):
            ours.append(cpu_seconds(audit_labels, pred_probs, labels))
            if find_label_issues_batched is not None:
                settings = {"n_jobs": 1, "verbose": False}
                theirs.append(cpu_seconds(find_label_issues_batched, labels, pred_probs, **settings))
        print(f"{n:,} x {k:,}: {median(ours):.2f} s of CPU, {more:.2f} times the input more memory", end="")
        print(f"; cleanlab, batched: {median(theirs):.2f} s of CPU" if theirs else "")


if __name__ == "__main__":
    main()
