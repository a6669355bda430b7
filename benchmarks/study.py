"""How much sooner two workers finish a study than one: wall time of the whole command, imports included.

python -m benchmarks.study

Twenty runs of digits, long enough that the start and the report, which only one process can do, are a small part. With
random crops: without, small networks are trained in stacks, and a study of them is over before a second worker has
started.
"""

import subprocess
import sys
import tempfile
import time
from statistics import median

ROUNDS = 2
COMMAND = [
    *(sys.executable, "-m", "labelnoise", "study", "run", "digits"),
    *("--set", "learning_rate=0.01", "--set", "noises.0.rates=[0.4]"),  # four losses, five seeds
    *("--set", 'augment={"name":"crop","padding":1}', "--set", "epochs=320"),
]


def seconds(workers: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        subprocess.run([*COMMAND, "--out", folder, "--workers", str(workers)], check=True, capture_output=True)
        return time.perf_counter() - start


def main() -> None:
    ratios: list[float] = []
    for _ in range(ROUNDS):
        one, two = seconds(1), seconds(2)
        ratios.append(one / two)
        print(f"one worker {one:5.1f} s, two workers {two:5.1f} s, {ratios[-1]:.2f} times as fast", flush=True)
    print(f"median of {ROUNDS}: {median(ratios):.2f}")


if __name__ == "__main__":
    main()
