"""Versions and hardware, as they stand beside every published number."""

import functools
import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import torch


@functools.cache
def environment() -> dict[str, str | int | None]:
    """What a result may depend on, other than its config."""
    packages = ("labelnoise", "torch", "lightning-fabric", "numpy", "scikit-learn")
    return {
        **{package: version(package) for package in packages},
        "commit": _commit(),
        "python": platform.python_version(),
        "system": platform.system(),
        "processor": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),  # processors of one name differ in them
        "cores": os.cpu_count(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def machine(recorded: Mapping[str, str | int | None]) -> str:
    """The hardware of a recorded environment in words."""
    accelerator = f" with {recorded['accelerator']}" if recorded.get("accelerator") else ""
    return f"{recorded['processor']} ({recorded['cores']} cores){accelerator}"


def package(recorded: Mapping[str, str | int | None]) -> str:
    """The package of a recorded environment, and the commit it was made from, in words."""
    commit = str(recorded["commit"])[:12] if recorded["commit"] else "commit not recorded"
    return f"labelnoise {recorded['labelnoise']} ({commit})"


def _commit() -> str | None:
    """Of the checkout this package is imported from; ``None`` where it is an installed copy."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    try:
        return git("rev-parse", "HEAD") or None if git("ls-files", __file__) else None
    except OSError:  # no git
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
