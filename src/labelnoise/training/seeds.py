"""Independent random streams from one seed, so that runs with the same seed can be compared pair by pair."""

import contextlib
import hashlib
from collections.abc import Generator

import torch


def child_seed(seed: int, stream: str) -> int:
    """A 63-bit seed for one purpose: streams of one seed are independent, whichever of them are used.

    >>> child_seed(0, "noise") != child_seed(0, "split")
    True
    """
    return int.from_bytes(hashlib.sha256(f"{seed}/{stream}".encode()).digest()[:8], "big") >> 1


def child_generator(seed: int, stream: str) -> torch.Generator:
    """A CPU generator of the stream called ``stream``."""
    return torch.Generator().manual_seed(child_seed(seed, stream))


@contextlib.contextmanager
def seeded(seed: int, stream: str) -> Generator[None]:
    """Draw from ``stream`` whatever inside draws from torch's global state (initial weights), then restore it."""
    with torch.random.fork_rng(devices=[]):  # weights are drawn on the CPU
        torch.manual_seed(child_seed(seed, stream))
        yield
