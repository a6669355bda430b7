"""What the training loop minimises: a loss with memory per sample, or any loss of ``labelnoise.losses`` as it is.

Losses and objectives share one namespace, which ``--loss`` takes. To add an objective, write one file, one test file
and its lines here.
"""

from collections.abc import Callable, Sequence
from typing import Any

from labelnoise import _registry, losses
from labelnoise.objectives._objective import Objective, Predict
from labelnoise.objectives.pruned import Decision, PrunedLoss, PruningWarning, pruned_gce
from labelnoise.objectives.stateless import Stateless

__all__ = [
    "Decision",
    "Objective",
    "Predict",
    "PrunedLoss",
    "PruningWarning",
    "Stateless",
    "build",
    "names",
    "pruned_gce",
]

REGISTRY: dict[str, Callable[..., Objective]] = {"pruned_gce": pruned_gce}


def names() -> list[str]:
    """Every name ``build`` knows, the losses' included.

    >>> names()
    ['cce', 'forward', 'gce', 'mae', 'pruned_gce', 'truncated_gce']
    """
    return sorted({*losses.names(), *REGISTRY})


def build(name: str, *, num_samples: int, class_names: Sequence[str] | None = None, **settings: Any) -> Objective:
    """The objective registered under ``name``, or the loss of that name as an objective.

    ``num_samples`` and ``class_names`` are the training data's; only what remembers samples has a use for them.

    Raises:
        ValueError: an unknown name or setting, or one out of range.

    >>> build("gce", num_samples=100, q=0.5)
    Stateless(
      (loss): GCELoss(q=0.5, ignore_index=-100, reduction='mean', label_smoothing=0.0)
    )
    """
    _registry.check_name("loss", name, names())
    if name in REGISTRY:
        given = {"num_samples": num_samples, "class_names": class_names, **settings}
        return _registry.build("loss", REGISTRY, name, given)
    return Stateless(losses.build(name, **settings))
