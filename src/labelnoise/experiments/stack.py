"""Runs of one study that are trained at once, where each by itself would spend its time on calls into torch."""

import math
import time
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor
from torch.func import functional_call

from labelnoise.datasets import Dataset
from labelnoise.experiments.parts import build_model, build_objective, build_optimizer, finish, schedule_for
from labelnoise.experiments.problem import Problem, load_problem
from labelnoise.models import MLP
from labelnoise.runs import RunConfig, RunFolder
from labelnoise.training import Member, NonFiniteLossError, child_generator, open_fabric, train_stack

# Of a forward pass: below, a step of a network by itself is mostly calls, half a millisecond of them.
_PRODUCTS = 2**22
_NUMBERS = 2**22  # of the inputs, which every run of a stack holds twice


def is_stacked(config: RunConfig, data: Dataset) -> bool:
    """Whether the run of ``config`` is one of small networks, which are trained in stacks, alone or not.

    A rule on sizes and never a timing, so that a run has the same bits wherever it is done: a multilayer perceptron
    with at most 2^22 products a batch, on at most 2^22 numbers that are stored as such, in float32 and not compiled.
    """
    inputs = data.train.inputs
    if config.model.name != "mlp" or not isinstance(inputs, Tensor) or not inputs.is_floating_point():
        return False
    if config.augment is not None or config.precision != "32-true" or config.compiled:
        return False
    settings = config.loss.settings
    if config.loss.name == "forward" or settings.get("reduction", "mean") != "mean":
        return False
    if settings.get("ignore_index", -1) >= 0:
        return False
    widths = [math.prod(inputs.shape[1:]), *config.model.settings["hidden"], len(data.class_names)]
    products = config.batch_size * sum(ins * outs for ins, outs in pairwise(widths))
    return products <= _PRODUCTS and inputs.numel() <= _NUMBERS


def execute_stack(configs: Sequence[RunConfig], root: Path, *, device: str = "cpu") -> dict[str, NonFiniteLossError]:
    """Do runs that differ in noise, loss and seed alone, each in its folder; returns errors by run id.

    Raises:
        ValueError: what :func:`execute` refuses, of any of them.
    """
    start = time.perf_counter()
    folders = [folder for config in configs if not (folder := RunFolder(root, config)).is_finished]
    if not folders:
        return {}
    before = [folder.seconds_before for folder in folders]
    problems = [load_problem(folder.config) for folder in folders]
    members = [_member(folder, problem) for folder, problem in zip(folders, problems, strict=True)]
    shared = folders[0].config
    results = train_stack(
        members,
        optimizer=partial(build_optimizer, shared),
        schedule=partial(schedule_for, shared, problems[0]),
        epochs=shared.epochs,
        batch_size=shared.batch_size,
        device=open_fabric(device).device,
    )
    share = (time.perf_counter() - start) / len(folders)
    errors: dict[str, NonFiniteLossError] = {}
    for folder, problem, member, result, earlier in zip(folders, problems, members, results, before, strict=True):
        if isinstance(result, NonFiniteLossError):
            errors[folder.config.run_id] = result
        else:
            with torch.no_grad():
                predicted = functional_call(member.model, result.best_state, (problem.training.inputs,)).argmax(1)
            finish(folder, problem, member.objective, result, predicted, seconds=earlier + share)
    return errors


def _member(folder: RunFolder, problem: Problem) -> Member:
    model = build_model(folder.config, problem)
    assert isinstance(model, MLP)
    folder.path.mkdir(parents=True, exist_ok=True)
    return Member(
        model,
        build_objective(folder.config, problem),
        problem.training,
        problem.validation,
        problem.test,
        child_generator(folder.config.seed, "order"),
        folder.checkpoint,
    )
