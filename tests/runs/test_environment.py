import subprocess
from pathlib import Path

import pytest

from labelnoise.runs import environment


def test_the_commit_of_a_checkout_is_recorded():
    try:
        head = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no checkout of git")
    assert environment()["commit"] == head.stdout.strip()
