"""Device and precision, through Lightning Fabric."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Literal, get_args

import torch

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Precision = Literal["32-true", "bf16-mixed"]
"""Whole float32, or bfloat16 where autocast deems it safe; float16 would need a loss scale and gains nothing here."""


def resolve_precision(precision: str, device: str) -> Precision:
    """``precision`` itself, or for ``"auto"`` what convolutions are faster in on ``device``, one of ``open_fabric``'s.

    That is ``"bf16-mixed"`` on CUDA of compute capability 8.0 and up and on a CPU with bfloat16 instructions
    (avx512_bf16, AMX); elsewhere bfloat16 is emulated, many times slower. A network without convolutions gains little
    by it, a tiny one nothing. It is settled before a run gets its identity: the two differ in the bits of the result.

    >>> resolve_precision("auto", "mps")
    '32-true'

    Raises:
        ValueError: another precision.
    """
    if precision == "auto":
        return "bf16-mixed" if _gains_by_bfloat16(device) else "32-true"
    for known in get_args(Precision):
        if precision == known:
            return known
    raise ValueError(f"precision must be 'auto', '32-true' or 'bf16-mixed', got {precision!r}")


def _gains_by_bfloat16(device: str) -> bool:
    if device in ("auto", "cuda") and torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device in ("auto", "cpu") and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def open_fabric(device: str = "auto", precision: Precision = "32-true") -> Fabric:
    """A launched one-process Fabric on ``device``: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.

    TensorFloat-32 stays as torch's own switches, which hold for the whole process, have it: by default convolutions on
    CUDA use it, where nearly all the arithmetic is, and matrix products do once you say
    ``torch.set_float32_matmul_precision("high")``.

    Raises:
        ValueError: another device, or one that this machine does not have; another precision.
    """
    if device not in ("auto", "cpu", "cuda", "mps"):
        raise ValueError(f"device must be 'auto', 'cpu', 'cuda' or 'mps', got {device!r}")
    if precision not in get_args(Precision):
        raise ValueError(f"precision must be '32-true' or 'bf16-mixed', got {precision!r}")
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
