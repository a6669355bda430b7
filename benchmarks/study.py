"""How much sooner two workers finish a study than one: wall time, start of the workers included.

python -m benchmarks.study
"""

import tempfile
import time
from pathlib import Path
from statistics import median

from labelnoise.experiments import load_recipe, run_study

ROUNDS = 3
RECIPE = load_recipe("digits", {"learning_rate": 0.01, "noises.0.rates": [0.4]})  # four losses, five seeds


def seconds(workers: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        study = run_study(RECIPE, Path(folder), workers=workers, on_progress=lambda _: None)
        assert len(study.runs) == len(RECIPE.losses) * RECIPE.seeds
        return time.perf_counter() - start


def main() -> None:
    ratios: list[float] = []
    for _ in range(ROUNDS):
        one, two = seconds(1), seconds(2)
        ratios.append(one / two)
        print(f"one worker {one:5.1f} s, two workers {two:5.1f} s, {ratios[-1]:.2f} times as fast")
    print(f"median of {ROUNDS}: {median(ratios):.2f}")


if __name__ == "__main__":
    main()
