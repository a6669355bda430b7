"""What the package adds to ``import torch``, and how long ``labelnoise --help`` takes.

python -m benchmarks.startup
"""

import subprocess
import sys
import time
from statistics import median

ROUNDS = 15
COMMANDS = {
    "python": [sys.executable, "-c", "pass"],
    "import torch": [sys.executable, "-c", "import torch"],
    "import torch; from labelnoise.losses import GCELoss": [
        *(sys.executable, "-c", "import torch; from labelnoise.losses import GCELoss")
    ],
    "labelnoise --help": [sys.executable, "-m", "labelnoise", "--help"],
}


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    rounds = [{name: seconds(command) for name, command in COMMANDS.items()} for _ in range(ROUNDS + 1)][1:]
    torch, losses = "import torch", "import torch; from labelnoise.losses import GCELoss"
    for name in COMMANDS:
        print(f"{name:55s} {median(times[name] for times in rounds):6.3f} s")
    print(f"{'added by labelnoise.losses':55s} {median(times[losses] - times[torch] for times in rounds):6.3f} s")
    print(f"{'ratio to import torch':55s} {median(times[losses] / times[torch] for times in rounds):6.3f}")


if __name__ == "__main__":
    main()
