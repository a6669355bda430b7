"""The last linear layer and GCE in chunks against the same two in full: time and memory, 1024 inputs.

python -m benchmarks.linear [--check] [--out FILE]

Forward and backward of the mean, q = 0.7, one thread. Times are ratios to F.linear and GCE as exact as ours, in the
same round. Memory is what a fresh process needs beside inputs, weight and their gradients; the ratio says how many
times as much the two in full take. bfloat16 only where the hardware multiplies in it.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import _measure
from benchmarks._measure import DEVICE, Figure
from labelnoise.losses import linear_gce_loss
from labelnoise.training import resolve_precision

Q, WIDTH, ROWS = 0.7, 1024, 4096
CLASSES = (32_000, 128_256)
DTYPES = {"float32": torch.float32}
if resolve_precision("auto", DEVICE) == "bf16-mixed":  # else it is emulated, in float32 copies of its own
    DTYPES["bfloat16"] = torch.bfloat16


def composed(hidden: Tensor, weight: Tensor, labels: Tensor) -> Tensor:
    """Composed of torch's own operations: the value from expm1, the derivative from exp."""
    cross_entropy = F.cross_entropy(F.linear(hidden, weight).float(), labels, reduction="none")
    value = torch.expm1(cross_entropy.detach() * -Q) / -Q
    slope = torch.exp(cross_entropy * -Q) / -Q
    return (value + (slope - slope.detach())).mean()


LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "in chunks": partial(linear_gce_loss, q=Q),
    "in full": composed,
}


def batch(n: int, k: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(n, WIDTH, generator=generator).to(DEVICE, dtype).requires_grad_()
    weight = (torch.randn(k, WIDTH, generator=generator) / WIDTH**0.5).to(DEVICE, dtype).requires_grad_()
    return hidden, weight, torch.randint(k, (n,), generator=generator).to(DEVICE)


def step(name: str, hidden: Tensor, weight: Tensor, labels: Tensor) -> None:
    hidden.grad = weight.grad = None
    LOSSES[name](hidden, weight, labels).backward()


def beyond_gradients(name: str, k: int, dtype: torch.dtype) -> float:
    """MiB."""
    step(name, *batch(16, 16, dtype))  # so that torch itself is there
    hidden, weight, labels = batch(ROWS, k, dtype)
    peak = _measure.peak_bytes(partial(step, name, hidden, weight, labels), device=DEVICE)
    return (peak - (hidden.numel() + weight.numel()) * hidden.itemsize) / 2**20


CASES: dict[str, Callable[[], float]] = {
    f"{ROWS} x {k}, {dtype}, {name}": partial(beyond_gradients, name, k, DTYPES[dtype])
    for k in CLASSES
    for dtype in DTYPES
    for name in LOSSES
}


def measure() -> Iterator[Figure]:
    for k, (name, dtype) in product(CLASSES, DTYPES.items()):
        case = f"{ROWS} x {k}, {name}"
        inputs = batch(ROWS, k, dtype)
        in_full, in_chunks = (partial(step, kind, *inputs) for kind in ("in full", "in chunks"))
        title = f"time, {case}"
        yield from _measure.ratios(in_full, {title: in_chunks}, rounds=3, targets={title: 1.1}, device=DEVICE)
        del inputs, in_full, in_chunks
        mib = {kind: _measure.in_fresh_process("benchmarks.linear", f"{case}, {kind}") for kind in LOSSES}
        for kind in LOSSES:
            yield Figure(f"MiB beyond the gradients, {case}, {kind}", mib[kind])
        ratio = mib["in full"] / mib["in chunks"]
        yield Figure(f"memory in full over in chunks, {case}", ratio, target=20, larger_is_better=True)


if __name__ == "__main__":
    _measure.main(__doc__, "linear", measure, CASES)
