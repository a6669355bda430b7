"""Learning rate schedules by name, all of torch's own and all stepped once a batch."""

from collections.abc import Callable, Sequence

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, MultiStepLR, OneCycleLR

from labelnoise import _registry


def multi_step(
    optimizer: Optimizer, *, epochs: int, steps_per_epoch: int, milestones: Sequence[int] = (), gamma: float = 0.1
) -> LRScheduler:
    """Multiply the rate by ``gamma`` after each epoch in ``milestones``; without any it stays constant.

    The paper: after 40 and 80 of 120 epochs (CIFAR-10), after 80 and 120 of 150 (CIFAR-100).
    """
    beyond = [milestone for milestone in milestones if milestone >= epochs]
    if beyond:
        raise ValueError(f"milestones must lie below epochs {epochs}, got {beyond}")
    return MultiStepLR(optimizer, [milestone * steps_per_epoch for milestone in milestones], gamma)


def cosine(optimizer: Optimizer, *, epochs: int, steps_per_epoch: int) -> LRScheduler:
    """Let the rate fall to zero along half a cosine (Loshchilov and Hutter 2017, arXiv 1608.03983)."""
    return CosineAnnealingLR(optimizer, epochs * steps_per_epoch)


def one_cycle(optimizer: Optimizer, *, epochs: int, steps_per_epoch: int, warmup_fraction: float = 0.3) -> LRScheduler:
    """Let the rate rise to its full value for ``warmup_fraction`` of the steps, then fall (Smith, arXiv 1803.09820)."""
    steps = epochs * steps_per_epoch
    if not 0 <= warmup_fraction < 1:
        raise ValueError(f"warmup_fraction must be within [0, 1), got {warmup_fraction}")
    if warmup_fraction * steps == 1:  # torch would divide by the zero steps between the lowest rate and the full one
        raise ValueError(f"warmup_fraction must come to more than one step, or less, got {warmup_fraction} of {steps}")
    return OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=steps,
        pct_start=float(warmup_fraction),
        cycle_momentum=False,
    )


REGISTRY: dict[str, Callable[..., LRScheduler]] = {
    "cosine": cosine,
    "multi_step": multi_step,
    "one_cycle": one_cycle,
}


def build_schedule(
    name: str, optimizer: Optimizer, *, epochs: int, steps_per_epoch: int, **settings: object
) -> LRScheduler:
    """The schedule registered under ``name``, from the learning rate of ``optimizer`` on; it is stepped once a batch.

    Args:
        name: ``"multi_step"``, times ``gamma`` (.1) after each epoch in ``milestones`` (none: constant);
            ``"cosine"``, down to zero; ``"one_cycle"``, up for ``warmup_fraction`` (.3) of the steps, then down.
        optimizer, epochs, steps_per_epoch: of the run.
        settings: those named above.

    Raises:
        ValueError: an unknown name or setting; milestones not below ``epochs``; a ``warmup_fraction`` outside [0, 1) or
            of exactly one step.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
        >>> schedule = build_schedule("multi_step", optimizer, epochs=3, steps_per_epoch=10, milestones=[1])
        >>> for _ in range(10):
        ...     optimizer.step()
        ...     schedule.step()
        >>> round(optimizer.param_groups[0]["lr"], 6)
        0.01
    """
    given = {"optimizer": optimizer, "epochs": epochs, "steps_per_epoch": steps_per_epoch, **settings}
    return _registry.build("schedule", REGISTRY, name, given)
