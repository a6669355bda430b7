"""GCE against F.cross_entropy and against the ways others write it: time, memory, lost and broken gradients.

python -m benchmarks.losses [--check] [--out FILE]

Forward and backward of the mean, q = 0.7, one thread. Times are ratios to F.cross_entropy in the same round, of half
precision to F.cross_entropy(logits.float()), which is as exact. Memory is what a fresh process needs beside the logits,
the gradient included, in buffers of their size.
"""

from collections.abc import Callable, Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import _measure
from benchmarks._measure import DEVICE, Figure
from labelnoise.losses import gce_loss

Q = 0.7
Loss = Callable[[Tensor, Tensor], Tensor]

SMALL, MANY_CLASSES, DENSE = (128, 10), (4096, 1000), (8, 21, 256, 256)
VOCABULARIES = ((2048, 32_000), (512, 128_256))


def softmax_power(logits: Tensor, labels: Tensor) -> Tensor:
    p = logits.softmax(1).gather(1, labels.unsqueeze(1))
    return ((1 - p**Q) / Q).mean()


def clamp_one_hot(logits: Tensor, labels: Tensor) -> Tensor:
    p = logits.softmax(1).clamp(1e-7, 1)
    one_hot = F.one_hot(labels, logits.shape[1]).movedim(-1, 1).float()
    return ((1 - (one_hot * p).sum(1) ** Q) / Q).mean()


def log_softmax_expm1(logits: Tensor, labels: Tensor) -> Tensor:
    log_p = logits.log_softmax(1).gather(1, labels.unsqueeze(1))
    return (torch.expm1(Q * log_p) / -Q).mean()


def exact_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits.float(), labels)


PEERS: dict[str, Loss] = {
    "softmax, power": softmax_power,
    "softmax, clamp, one-hot": clamp_one_hot,
    "log-softmax, expm1": log_softmax_expm1,
}


def batch(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(shape, generator=generator).to(DEVICE, dtype).requires_grad_()
    return logits, torch.randint(shape[1], shape[:1] + shape[2:], generator=generator).to(DEVICE)


def step(loss: Loss, logits: Tensor, labels: Tensor) -> None:
    logits.grad = None
    loss(logits, labels).backward()


def times(
    shape: tuple[int, ...],
    target: float,
    *,
    dtype: torch.dtype = torch.float32,
    rounds: int,
    calls: int = 1,
) -> list[Figure]:
    logits, labels = batch(shape, dtype)
    base = F.cross_entropy if dtype == torch.float32 else exact_cross_entropy
    losses: dict[str, Loss] = {"labelnoise": gce_loss, "the base once more": base}  # which shows the noise
    if dtype == torch.float32:
        losses |= PEERS
    title = f"time, {' x '.join(map(str, shape))} {str(dtype).removeprefix('torch.')}, "
    return _measure.ratios(
        partial(step, base, logits, labels),
        {title + name: partial(step, loss, logits, labels) for name, loss in losses.items()},
        rounds=rounds,
        calls=calls,
        targets={f"{title}labelnoise": target},
        device=DEVICE,
    )


def over_the_floor(shape: tuple[int, ...], dtype: torch.dtype, *, rounds: int) -> list[Figure]:
    """Ours over reading the logits once and writing a gradient once, which nothing can do without."""
    logits, labels = batch(shape, dtype)
    title = f"time over one read and one write, {' x '.join(map(str, shape))} {str(dtype).removeprefix('torch.')}"
    floor = partial(torch.mul, logits.detach(), 2)
    return _measure.ratios(floor, {title: partial(step, gce_loss, logits, labels)}, rounds=rounds, device=DEVICE)


def peak_in_logits(loss: Loss, dtype: torch.dtype) -> float:
    logits, labels = batch(VOCABULARIES[0], dtype)
    step(loss, *batch(SMALL, dtype))  # so that torch itself is there
    return _measure.peak_bytes(partial(step, loss, logits, labels), device=DEVICE) / (logits.numel() * logits.itemsize)


def rows_without_gradient(n: int) -> int:
    logits, labels = batch((n, 8000), torch.bfloat16)
    step(gce_loss, logits, labels)
    return int((~logits.grad.any(dim=1)).sum())


def broken_rows(n: int, k: int) -> int:
    """NaN or infinite values and gradients, of logits up to 1e4 in three dtypes."""
    broken = 0
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        for scale in (1.0, 30.0, 1e3, 1e4):
            for q in (0.0, 1e-8, 0.1, Q, 1.0):
                logits, labels = batch((n, k), torch.float32)
                logits = (logits.detach() * scale).clamp(-1e4, 1e4).to(dtype).requires_grad_()
                values = gce_loss(logits, labels, q, reduction="none")
                values.sum().backward()
                broken += int((~(values.isfinite() & logits.grad.isfinite().all(dim=1))).sum())
    return broken


CASES: dict[str, Callable[[], float]] = {
    f"{name}, {str(dtype).removeprefix('torch.')}": partial(peak_in_logits, loss, dtype)
    for dtype in (torch.float32, torch.bfloat16)
    for name, loss in {"labelnoise": gce_loss, "cross entropy, exact": exact_cross_entropy, **PEERS}.items()
}


def measure() -> Iterator[Figure]:
    yield from times(SMALL, 3.5, rounds=25, calls=40)
    yield from times(MANY_CLASSES, 1.05, rounds=25)
    for shape in VOCABULARIES:
        yield from times(shape, 0.5, rounds=7)
    yield from times(DENSE, 0.65, rounds=11)
    for shape in VOCABULARIES:
        yield from times(shape, 0.4, dtype=torch.bfloat16, rounds=9)
    for shape in (MANY_CLASSES, *VOCABULARIES):
        for dtype in (torch.float32, torch.bfloat16):
            yield from over_the_floor(shape, dtype, rounds=9)
    for case in CASES:
        target = 1.1 if case.startswith("labelnoise") else None
        peak = _measure.in_fresh_process("benchmarks.losses", case)
        yield Figure(f"memory, {' x '.join(map(str, VOCABULARIES[0]))}, {case}", peak, target=target)
    for n in (256, 1024):  # either side of the size at which the loss is fused
        yield Figure(f"gradient rows of 0, {n} x 8000 bfloat16", rows_without_gradient(n), target=0)
    for n, k in ((64, 6), (4195, 1000)):
        yield Figure(f"NaN or infinite rows, {n} x {k}", broken_rows(n, k), target=0)


if __name__ == "__main__":
    _measure.main(__doc__, "losses", measure, CASES)
