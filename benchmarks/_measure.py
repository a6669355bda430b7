"""How the benchmarks measure: time in interleaved rounds, peak memory of a fresh process, a table.

On a CUDA device: time between two events on its stream instead of CPU time of one thread, and its own memory instead
of the process's.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

import torch

from labelnoise.runs.environment import environment

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
"""Where tensors are, in the benchmarks that can be run on either."""
SLACK = 1.1
"""By what factor ``--check`` lets a target be missed: the noise of a shared machine."""


class Figure(NamedTuple):
    name: str
    value: float
    """The median, where there are rounds."""
    quartiles: tuple[float, float] | None = None
    target: float | None = None
    larger_is_better: bool = False

    @property
    def is_missed(self) -> bool:
        if self.target is None:
            return False
        return self.value * SLACK < self.target if self.larger_is_better else self.value > self.target * SLACK


def ratios(
    base: Callable[[], object],
    others: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    calls: int = 1,
    targets: Mapping[str, float] | None = None,
    device: str = "cpu",
) -> list[Figure]:
    """Time of each of ``others`` over that of ``base`` in the same round; the first round only warms up."""
    torch.set_num_threads(1)
    works = {"": base, **others}
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds + 1):
        for name, work in works.items():
            seconds[name].append(_seconds(work, calls, device))
    figures: list[Figure] = []
    for name in others:
        of_rounds = [new / old for new, old in zip(seconds[name][1:], seconds[""][1:], strict=True)]
        low, _, high = quantiles(of_rounds, n=4)
        figures.append(Figure(name, median(of_rounds), (low, high), (targets or {}).get(name)))
    return figures


def _seconds(work: Callable[[], object], calls: int, device: str) -> float:
    """Of so many calls, by the thread that makes them or by the device that does them."""
    if device == "cuda":
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(calls):
            work()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1000
    begun = time.thread_time()
    for _ in range(calls):
        work()
    return time.thread_time() - begun


def peak_bytes(work: Callable[[], object], *, device: str = "cpu") -> int:
    """How much more memory this process (Linux), or the device, came to hold during ``work``."""
    if device == "cuda":
        held = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        work()
        return torch.cuda.max_memory_allocated() - held

    def kilobytes(field: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(field))

    torch.set_num_threads(1)
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before = kilobytes("VmRSS")
    work()
    return (kilobytes("VmHWM") - before) * 1024


def in_fresh_process(module: str, case: str) -> float:
    """The number that ``python -m module --case CASE`` prints."""
    command = [sys.executable, "-m", module, "--case", case]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main(
    description: str | None,
    name: str,
    measure: Callable[[], Iterator[Figure]],
    cases: Mapping[str, Callable[[], float]],
) -> None:
    """Print a table, write JSON beside the other results, and with ``--check`` fail where a target is missed."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit with 1 where a target is missed by more than 10 %%")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / f"{name}.json")
    parser.add_argument("--case", choices=cases, metavar="CASE", help="one measurement of a fresh process")
    options = parser.parse_args()
    if options.case:
        print(cases[options.case]())
        return
    figures: list[Figure] = []
    print(f"{'':72s}  median  quartiles        target")
    for figure in measure():
        figures.append(figure)
        quartiles = "" if figure.quartiles is None else "{:.2f} to {:.2f}".format(*figure.quartiles)
        target = "" if figure.target is None else f"{'>=' if figure.larger_is_better else '<='} {figure.target:g}"
        missed = "  MISSED" if figure.is_missed else ""
        print(f"{figure.name:72s}{figure.value:8.2f}  {quartiles:15s}  {target}{missed}", flush=True)
    rows = [figure._asdict() | {"is_missed": figure.is_missed} for figure in figures]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"environment": environment(), "figures": rows}, indent=1) + "\n")
    if options.check and any(figure.is_missed for figure in figures):
        raise SystemExit(1)
