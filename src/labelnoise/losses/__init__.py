"""Losses without memory: (logits, labels) -> one value a sample, reduced as in torch.

The export list is the registry: every exported loss of (logits, labels) is listed by ``names()``, built by ``build()``
and taken by ``--loss``, but for ``forward``, which wants a matrix. To add a loss, write one file, one test file and its
lines here. ``LinearGCELoss`` is not among them: it takes the last layer's inputs and weight, which a training loop does
not see.
"""

from collections.abc import Callable
from typing import Any

from labelnoise import _registry
from labelnoise.losses._contract import Loss
from labelnoise.losses.cce import CCELoss, cce_loss
from labelnoise.losses.forward import ForwardLoss, forward_loss
from labelnoise.losses.gce import GCELoss, gce_loss
from labelnoise.losses.linear_gce import LinearGCELoss, linear_gce_loss
from labelnoise.losses.mae import MAELoss, mae_loss
from labelnoise.losses.truncated_gce import TruncatedGCELoss, truncated_gce_loss

__all__ = [
    "CCELoss",
    "ForwardLoss",
    "GCELoss",
    "LinearGCELoss",
    "MAELoss",
    "TruncatedGCELoss",
    "build",
    "cce_loss",
    "forward_loss",
    "gce_loss",
    "linear_gce_loss",
    "mae_loss",
    "names",
    "truncated_gce_loss",
]

REGISTRY: dict[str, Callable[..., Loss]] = {
    name: loss
    for name, loss in _registry.exported_classes(globals(), __all__, suffix="Loss").items()
    if issubclass(loss, Loss)
}


def names() -> list[str]:
    """The names ``build`` knows.

    >>> names()
    ['cce', 'forward', 'gce', 'mae', 'truncated_gce']
    """
    return sorted(REGISTRY)


def build(name: str, **settings: Any) -> Loss:
    """The loss module registered under ``name``.

    Raises:
        ValueError: an unknown name or setting, or one out of range.

    >>> build("gce", q=0.5).q
    0.5
    >>> build("gse")
    Traceback (most recent call last):
    ValueError: unknown loss 'gse'; did you mean 'gce'? (one of: cce, forward, gce, mae, truncated_gce)
    """
    return _registry.build("loss", REGISTRY, name, settings)
