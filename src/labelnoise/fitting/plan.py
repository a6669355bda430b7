"""How much a fit trains: epochs and candidates, from a few timed steps and a budget."""

import math
import re
import time
from collections.abc import Sequence

import torch
from pydantic import BaseModel, ConfigDict

from labelnoise.fitting.data import Prepared
from labelnoise.fitting.recipe import TrainingRecipe, build_network, build_optimizer, default_epochs
from labelnoise.objectives import build
from labelnoise.runs import Part
from labelnoise.training import open_fabric, seeded

_UNITS = {"s": 1, "m": 60, "h": 3600}
_TIMED_STEPS = 8
_AMPLE = 0.75  # of the epochs: with fewer, the candidates from the third on and the refinement are dropped first
_LEAST_EPOCHS = 8  # below that the second candidate is dropped first
_EVALUATION_SHARE = 1 / 3  # of a training step, a sample: forward without backward
_START = 5.0  # seconds until workers have imported torch and read the data: 2 to 8 on the machines at hand
_SAFETY = 0.8  # of the budget is planned for
CANDIDATES = (
    Part.model_validate({"name": "gce", "q": 0.7}),
    Part.model_validate({"name": "gce", "q": 0.4}),  # where classes are too many for 0.7 in the epochs there are
    Part(name="cce"),
    Part.model_validate({"name": "pruned_gce", "q": 0.7}),
)
"""What ``--loss auto`` chooses among, the most useful first: a small budget drops them from the last on."""


class Plan(BaseModel):
    """What is going to be trained, decided before the start and kept when a fit goes on."""

    model_config = ConfigDict(frozen=True)

    candidates: tuple[Part, ...]
    recipe: TrainingRecipe
    epochs: int
    refine: bool
    seconds: float
    """The estimate for all of it."""


def parse_budget(text: str) -> float | None:
    """Seconds of ``"90s"``, ``"10m"``, ``"1.5h"``; ``None`` for ``"none"``.

    >>> parse_budget("10m"), parse_budget("none")
    (600.0, None)

    Raises:
        ValueError: anything else.
    """
    if text == "none":
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if match is None or not float(match[1]):
        raise ValueError(f"budget must be a time such as 90s, 10m or 1.5h, or none, got {text!r}")
    return float(match[1]) * _UNITS[match[2]]


def make_plan(
    prepared: Prepared,
    recipe: TrainingRecipe,
    losses: Sequence[Part],
    *,
    budget: float | None,
    epochs: int | None,
    refine: bool | None,
    folds: int,
    workers: int,
    device: str,
) -> Plan:
    """Time a few steps, then fit epochs and candidates into ``budget`` (seconds; ``None`` for no limit).

    What gives way to a small budget, in this order: epochs down to three quarters, candidates from the last to the
    third, refinement where it is not asked for, epochs down to 8, the second candidate, epochs down to 1. ``epochs``
    given, they stay, and the rest gives way alone.

    Raises:
        ValueError: one epoch, and no loss but one that prunes.
    """
    per_epoch = _seconds_per_epoch(prepared, recipe, device)
    wanted = default_epochs(len(prepared.training.labels), recipe) if epochs is None else epochs
    ample, least = (math.ceil(_AMPLE * wanted), min(wanted, _LEAST_EPOCHS)) if epochs is None else (epochs, epochs)
    candidates, refined = list(losses), refine is not False

    def seconds(count: int) -> float:
        rounds = math.ceil(len(candidates) / workers) + refined + math.ceil(folds / workers)
        return rounds * count * per_epoch + _START * (1 + refined + (folds > 0))

    def is_too_long(count: int) -> bool:
        return budget is not None and seconds(count) > _SAFETY * budget

    while len(candidates) > 2 and is_too_long(ample):
        candidates.pop()
    refined = refined and (refine is True or not is_too_long(ample))
    while len(candidates) > 1 and is_too_long(least):
        candidates.pop()
    if budget is not None and epochs is None:
        wanted = max(1, min(wanted, int((_SAFETY * budget - seconds(0)) / (seconds(1) - seconds(0)))))
    if wanted == 1:  # nothing is pruned before the second
        candidates = [loss for loss in candidates if loss.name != "pruned_gce"]
    if not candidates:
        raise ValueError("pruned_gce must train for at least 2 epochs, got 1: raise epochs or budget")
    return Plan(candidates=tuple(candidates), recipe=recipe, epochs=wanted, refine=refined, seconds=seconds(wanted))


def _seconds_per_epoch(prepared: Prepared, recipe: TrainingRecipe, device: str) -> float:
    """Of one candidate on one thread, evaluation included."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with seeded(0, "timing"):  # the caller's random numbers stay as they are
            per_step = _seconds_per_step(prepared, recipe, device)
    finally:
        torch.set_num_threads(threads)
    training, validation = len(prepared.training.labels), len(prepared.validation.labels)
    return per_step / recipe.batch_size * (training + _EVALUATION_SHARE * validation)


def _seconds_per_step(prepared: Prepared, recipe: TrainingRecipe, device: str) -> float:
    fabric = open_fabric(device, recipe.precision)
    training = prepared.training
    images = training.inputs if prepared.own.kind == "image" else None
    network = build_network(recipe.model, tuple(training.inputs.shape[1:]), len(prepared.class_names), images=images)
    model, optimizer = fabric.setup(network, build_optimizer(network, recipe))
    objective = build("gce", num_samples=0)
    times: list[float] = []
    for _ in range(_TIMED_STEPS):
        rows = torch.randint(len(training.labels), (recipe.batch_size,))
        start = time.perf_counter()
        optimizer.zero_grad()
        inputs, labels = training.inputs[rows].to(fabric.device), training.labels[rows].to(fabric.device)
        fabric.backward(objective(model(inputs), labels, rows.to(fabric.device)))
        optimizer.step()
        times.append(time.perf_counter() - start)
    return sorted(times[1:])[len(times) // 2 - 1]
