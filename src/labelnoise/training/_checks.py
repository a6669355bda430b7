"""What a run is refused for, before it begins and on the way, and what tells its checkpoint from another run's."""

import contextlib
import hashlib
import math
from collections.abc import Generator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from labelnoise._types import Batch
from labelnoise.objectives import Objective

_CURE = "a lower learning rate is the usual cure"


class NonFiniteLossError(ArithmeticError):
    """The loss became NaN or infinite; the last checkpoint is from before."""


def identity_of(
    model: nn.Module, splits: Sequence[Batch], batch_size: int, objective: Objective, schedule: LRScheduler
) -> dict[str, Any]:
    """Not everything that makes a run what it is, but what tells a checkpoint of another one."""
    return {
        "weights": {name: list(weight.shape) for name, weight in model.state_dict().items()},
        "labels": [_checksum(split.labels) for split in splits],
        "batch_size": batch_size,
        "objective": repr(objective),
        # Class weights, a transition matrix and the like, which no repr shows.
        "buffers": [_checksum(buffer) for buffer in objective.buffers()],
        "optimizer": [type(schedule.optimizer).__name__, schedule.optimizer.state_dict()["param_groups"]],
        "schedule": schedule.state_dict(),  # before its first step: learning rate, milestones, length
    }


def _checksum(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().data).hexdigest()


def check_run(
    model: nn.Module, objective: Objective, splits: dict[str, Batch | None], *, epochs: int, batch_size: int
) -> None:
    """Refuse what would fail later, or never."""
    if epochs < 1 or batch_size < 1:
        raise ValueError(f"epochs and batch_size must be at least 1, got {epochs} and {batch_size}")
    if not isinstance(objective, Objective):  # pyright: ignore[reportUnnecessaryIsInstance]
        name = type(objective).__name__
        raise ValueError(f"objective must be one of labelnoise.objectives, got {name}; a loss becomes one by Stateless")
    check_warmup(objective, epochs)
    for name, split in splits.items():
        if split is not None:
            _check_data(name, split, model)


def check_warmup(objective: Objective, epochs: int) -> None:
    """Refuse an objective that would never do more than its loss.

    Raises:
        ValueError: a warm-up of ``epochs`` or more.
    """
    if objective.warmup >= epochs:
        raise ValueError(f"the objective's warmup must lie below epochs {epochs}, got {objective.warmup}")


def _check_data(name: str, data: Batch, model: nn.Module) -> None:
    n = len(data.labels)
    if not n or len(data.inputs) != n or len(data.index) != n:
        lengths = (len(data.inputs), n, len(data.index))
        raise ValueError(f"{name}: inputs, labels and index must have one length above 0, got {lengths}")
    if data.labels.dtype != torch.int64 or data.labels.ndim != 1:
        raise ValueError(f"{name}: labels must be int64 of shape ({n},), got {data.labels.dtype} {data.labels.shape}")
    floating = isinstance(data.inputs, Tensor) and data.inputs.is_floating_point()
    if floating and not data.inputs.isfinite().all():
        row = int(data.inputs.flatten(1).isfinite().all(1).logical_not().nonzero()[0])
        raise ValueError(f"{name}: inputs must be finite, got NaN or infinity in row {row}")
    with torch.no_grad(), eval_mode(model):
        device = next(model.parameters()).device
        num_classes = model(data.inputs[torch.zeros(1, dtype=torch.int64)].to(device)).shape[-1]
    if num_classes < 2:
        raise ValueError(f"model must tell at least two classes apart, got {num_classes}")
    low, high = int(data.labels.min()), int(data.labels.max())
    if low < 0 or high >= num_classes:
        raise ValueError(f"{name}: labels must be within [0, {num_classes}), the model's classes, got {low} to {high}")


def check_steps(losses: Float[Tensor, "steps"], epoch: int, objective: Objective) -> None:
    """Refuse to go on after a loss that is NaN or infinite."""
    bad = losses.isfinite().logical_not()
    if bad.any():
        step = int(bad.nonzero()[0])
        name = " ".join(repr(objective).split())
        raise NonFiniteLossError(
            f"the loss became {losses[step].item()} at epoch {epoch}, step {step + 1} of {len(losses)}, of {name}; "
            f"{_CURE}"
        )


def check_validation(loss: float, epoch: int) -> None:
    """The last step of an epoch may ruin the weights without a loss that shows it."""
    if not math.isfinite(loss):
        raise NonFiniteLossError(f"the validation loss became {loss} after epoch {epoch}; {_CURE}")


@contextlib.contextmanager
def eval_mode(model: nn.Module) -> Generator[None]:
    """Batch normalisation and dropout as for predicting, while the block runs."""
    training = {module: module.training for module in model.modules()}  # a part may be frozen
    model.eval()
    try:
        yield
    finally:
        for module, mode in training.items():
            module.training = mode
