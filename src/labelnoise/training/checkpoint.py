"""Checkpoints: plain tensors and numbers, whole or absent, and never a pickle that runs code."""

import io
from pathlib import Path
from typing import Any

import torch

from labelnoise import _files


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` so that a kill at any moment leaves either the old checkpoint or the new one.

    Raises:
        OSError: a full disk, or a folder that cannot be written.
    """
    whole = io.BytesIO()  # torch would hide an OSError, such as a full disk's, behind a RuntimeError of its own
    torch.save(state, whole)
    with _files.replacing(path) as file:
        file.write(whole.getbuffer())


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read what :func:`save_checkpoint` wrote, onto the CPU.

    Raises:
        ValueError: a file that is no checkpoint, or one that would execute code.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict):
            raise TypeError(f"it holds a {type(state).__name__}")
        return state
    except Exception as error:  # torch raises RuntimeError, EOFError, UnpicklingError, ... by the kind of damage
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"checkpoint {path} cannot be read ({reason}); delete it to start the run anew") from None
