"""What an audit costs: CPU time of one thread, beside cleanlab's batched count where installed, and memory (Linux).

python -m benchmarks.audit [--check] [--out FILE]

Of float32 probabilities. Seconds are of this machine; the ratio is to cleanlab's find_label_issues_batched in the same
round. Memory is what a fresh process needs beside probabilities and labels, in sizes of the probabilities.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median, quantiles

import numpy as np
import torch

from benchmarks import _measure
from benchmarks._measure import Figure
from labelnoise.audit import audit_labels

try:
    from cleanlab.experimental.label_issues_batched import find_label_issues_batched
except ImportError:
    find_label_issues_batched = None

ROUNDS = 7
LONG, WIDE = (1_000_000, 10), (100_000, 1000)


def arrays(n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, and labels of which a fifth is drawn anew."""
    random = np.random.default_rng(0)
    pred_probs = random.standard_normal((n, k), dtype=np.float32) * 2
    labels = np.where(random.random(n) < 0.2, random.integers(k, size=n), pred_probs.argmax(1))
    np.exp(pred_probs, out=pred_probs)
    pred_probs /= pred_probs.sum(1, keepdims=True)
    return pred_probs, labels


def named(shape: tuple[int, int]) -> str:
    return "{:,} x {:,}".format(*shape)


def seconds(shape: tuple[int, int]) -> Figure:
    torch.set_num_threads(1)
    pred_probs, labels = arrays(*shape)
    of_rounds: list[float] = []
    for _ in range(ROUNDS + 1):
        start = time.thread_time()
        audit_labels(pred_probs, labels)
        of_rounds.append(time.thread_time() - start)
    low, _, high = quantiles(of_rounds[1:], n=4)  # the first only warms up
    return Figure(f"seconds of CPU, {named(shape)}", median(of_rounds[1:]), (low, high), target=3)


def peak_in_inputs(shape: tuple[int, int]) -> float:
    pred_probs, labels = arrays(*shape)
    audit_labels(*arrays(100, shape[1]))  # so that torch itself is there
    return _measure.peak_bytes(partial(audit_labels, pred_probs, labels)) / pred_probs.nbytes


CASES: dict[str, Callable[[], float]] = {named(shape): partial(peak_in_inputs, shape) for shape in (LONG, WIDE)}


def measure() -> Iterator[Figure]:
    yield seconds(LONG)
    if find_label_issues_batched is None:
        print("cleanlab is not installed: no ratio to it")
    else:
        pred_probs, labels = arrays(*WIDE)
        name = f"time over cleanlab's, {named(WIDE)}"
        cleanlab = partial(find_label_issues_batched, labels, pred_probs, n_jobs=1, verbose=False)
        ours = partial(audit_labels, pred_probs, labels)
        yield from _measure.ratios(cleanlab, {name: ours}, rounds=ROUNDS, targets={name: 1})
    for case in CASES:
        yield Figure(f"memory, {case}", _measure.in_fresh_process("benchmarks.audit", case), target=3)


if __name__ == "__main__":
    _measure.main(__doc__, "audit", measure, CASES)
