"""The Box-Cox transform that turns cross entropy into Lq: the one piece of arithmetic of the GCE family."""

import math
from numbers import Real

import torch
from torch import Tensor

# Below this q the transform is the identity to the last bit of float64, and q itself underflows in float32.
_NEGLIGIBLE_Q = 1e-30


def box_cox(cross_entropy: Tensor, q: float) -> Tensor:
    """Lq of every element of a cross entropy -log p: (1 - p^q) / q, with the exact derivative p^q."""
    if q < _NEGLIGIBLE_Q:
        return cross_entropy
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


def check_q(q: float) -> None:
    """Refuse what is no exponent; beyond q = 1 badly fitted samples count for even less."""
    if not isinstance(q, Real) or not 0 <= q < math.inf:
        raise ValueError(f"q must be a finite number >= 0, got {q!r}")
