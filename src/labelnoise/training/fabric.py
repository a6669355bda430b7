"""Device and precision, through Lightning Fabric."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Precision = Literal["32-true", "bf16-mixed"]
"""Whole float32, or bfloat16 where autocast deems it safe; float16 would need a loss scale and gains nothing here."""


def open_fabric(device: str = "auto", precision: Precision = "32-true") -> Fabric:
    """A launched one-process Fabric on ``device``: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``."""
    if device not in ("auto", "cpu", "cuda", "mps"):
        raise ValueError(f"device must be 'auto', 'cpu', 'cuda' or 'mps', got {device!r}")
    from lightning_fabric import Fabric  # costs a second, which whoever only wants a loss should not pay

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it says at every start that bfloat16 is used
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice on hardware that is present and not used
        try:
            fabric = Fabric(accelerator=device, devices=1, precision=precision)
        except RuntimeError:
            raise ValueError(f"device must be one that this machine has, got {device!r}") from None
        fabric.launch()
    return fabric
