"""The Box-Cox transform that turns cross entropy into Lq: the one piece of arithmetic of the GCE family."""

import math
from numbers import Real

import torch
from torch import Tensor
from torch.autograd import forward_ad

# Below this q the transform is the identity to the last bit of float64, and q itself underflows in float32.
_NEGLIGIBLE_Q = 1e-30


def box_cox(cross_entropy: Tensor, q: float | Tensor) -> Tensor:
    """Lq of every element of a cross entropy -log p: (1 - p^q) / q, with the exact derivative p^q."""
    if isinstance(q, Tensor):
        negligible = q < _NEGLIGIBLE_Q
        return torch.where(negligible, cross_entropy, _box_cox(cross_entropy, q.masked_fill(negligible, 1)))
    return cross_entropy if q < _NEGLIGIBLE_Q else _box_cox(cross_entropy, q)


def box_cox_slope(cross_entropy: Tensor, q: float | Tensor) -> Tensor:
    """The derivative alone: p^q, and 1 at q = 0 even where p is 0."""
    if isinstance(q, Tensor):
        return torch.where(q < _NEGLIGIBLE_Q, 1, torch.exp(cross_entropy * -q))
    return torch.ones_like(cross_entropy) if q < _NEGLIGIBLE_Q else torch.exp(cross_entropy * -q)


def _box_cox(cross_entropy: Tensor, q: float | Tensor) -> Tensor:
    # The value comes from expm1, exact for small q; the derivative from exp, exact for small p. The backward of expm1
    # itself is `result + 1`, which cancels where p^q is small, so badly fitted samples would get no gradient at all.
    value = torch.expm1(cross_entropy.detach() * -q) / -q
    slope = torch.exp(cross_entropy * -q) / -q
    return value + (slope - slope.detach())


def lq(p: float, q: float) -> float:
    """Lq of a probability: (1 - p^q) / q, and -log p at q = 0."""
    if q < _NEGLIGIBLE_Q:
        return -math.log(p)
    return -math.expm1(q * math.log(p)) / q


def check_q(q: float | Tensor) -> None:
    """Refuse what is no exponent; beyond q = 1 badly fitted samples count for even less.

    Of a tensor the values are not read, for they may lie on an accelerator.
    """
    if isinstance(q, Tensor):
        # The derivative by q would have to come through the slope of the first one, which is held constant.
        if not q.is_floating_point() or q.requires_grad or forward_ad.unpack_dual(q).tangent is not None:
            got = f"{q.dtype} of shape {tuple(q.shape)}" + (", requires_grad=True" if q.requires_grad else "")
            raise ValueError(f"q must be a floating point tensor that needs no gradient, got {got}")
    elif not isinstance(q, Real) or not 0 <= q < math.inf:
        raise ValueError(f"q must be a finite number >= 0, got {q!r}")


def check_k(k: float) -> None:
    """Refuse what is no probability to truncate at."""
    if not isinstance(k, Real) or not 0 < k < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"k must be within (0, 1), got {k!r}")
