"""The parts that a config names, for a run by itself and for one in a stack, and what becomes of its result."""

from collections.abc import Iterable

import torch
from jaxtyping import Int64
from torch import Tensor, nn
from torch.optim import SGD
from torch.optim.lr_scheduler import LRScheduler

from labelnoise import metrics, models, objectives
from labelnoise._types import Texts
from labelnoise.audit import audit_record
from labelnoise.datasets import Dataset
from labelnoise.experiments.problem import Problem
from labelnoise.models import Normalize
from labelnoise.objectives import Objective, PrunedLoss
from labelnoise.runs import RunConfig, RunFolder, Samples
from labelnoise.training import (
    TrainingResult,
    build_augment,
    build_schedule,
    check_warmup,
    seeded,
    split_validation,
)


def check_parts(config: RunConfig, data: Dataset) -> None:
    """Build all that the config names, but a network of texts, whose size follows from their features.

    Raises:
        ValueError: settings that are out of range, or that do not fit the data or each other.
    """
    count, few = config.train_samples or len(data.true_labels), torch.arange(1)
    split_validation(data.train.labels[:count], fraction=config.validation_fraction, generator=torch.Generator())
    sample = data.train.take(few)
    problem = Problem(sample, sample, sample, data.true_labels[few], None, data.class_names)
    is_text = isinstance(sample.inputs, Texts)
    optimizer = build_optimizer(config, (nn.Linear(1, 1) if is_text else build_model(config, problem)).parameters())
    schedule_for(config, problem, optimizer)
    if config.augment and (augment := build_augment(config.augment.name, **config.augment.settings)):
        augment(torch.zeros(1, 1) if is_text else sample.inputs, torch.Generator())
    objective = build_objective(config, problem, torch.eye(len(data.class_names)))
    check_warmup(objective, config.epochs)
    objective(torch.zeros(1, len(data.class_names)), sample.labels, few)


def build_model(config: RunConfig, problem: Problem) -> nn.Module:
    """The network with the initial weights of the config's seed."""
    inputs = problem.training.inputs
    with seeded(config.seed, "weights"):
        model = models.build(
            config.model.name,
            input_shape=inputs.shape[1:],
            num_classes=len(problem.class_names),
            **config.model.settings,
        )
    if isinstance(inputs, torch.Tensor) and inputs.dtype == torch.uint8:
        model = nn.Sequential(Normalize.fit(inputs), model)
    # A fifth faster where there are convolutions; elsewhere it does nothing.
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def build_objective(config: RunConfig, problem: Problem, transition: Tensor | None = None) -> Objective:
    """The config's loss; ``transition`` is the matrix of the forward correction, and of nothing else."""
    matrix = {"transition": transition} if config.loss.name == "forward" else {}
    return objectives.build(
        config.loss.name,
        num_samples=len(problem.true_labels),
        class_names=problem.class_names,
        **config.loss.settings | matrix,
    )


def build_optimizer(config: RunConfig, parameters: Iterable[nn.Parameter]) -> SGD:
    """The paper's."""
    return SGD(
        parameters,
        lr=config.learning_rate,
        momentum=config.momentum,
        nesterov=config.nesterov,
        weight_decay=config.weight_decay,
    )


def schedule_for(config: RunConfig, problem: Problem, optimizer: SGD) -> LRScheduler:
    """The config's, over its epochs."""
    return build_schedule(
        config.schedule.name,
        optimizer,
        epochs=config.epochs,
        steps_per_epoch=-(-len(problem.training.labels) // config.batch_size),
        **config.schedule.settings,
    )


def finish(
    folder: RunFolder,
    problem: Problem,
    objective: Objective,
    result: TrainingResult,
    predicted: Int64[Tensor, "n"],
    *,
    seconds: float,
) -> None:
    """Judge the run by what is known of the truth, and write everything down; ``predicted`` are training samples."""
    audit = audit_record(result.record)
    wrong = problem.training.labels != problem.true_labels
    best, last = result.history[result.best_epoch - 1], result.history[-1]
    pruning = {}
    if isinstance(objective, PrunedLoss):
        pruned = objective.kept.cpu().logical_not()
        scores = metrics.detection_scores(pruned.float(), pruned, wrong)
        pruning = {"pruning": {"precision": scores.precision, "recall": scores.recall}}
    folder.finish(
        {
            "best_epoch": best.epoch,
            "validation_accuracy_best": best.validation_accuracy,
            "test_accuracy_best": best.test_accuracy,
            "test_accuracy_last": last.test_accuracy,
            "detection": metrics.detection_scores(audit.suspicion, audit.is_issue, wrong)._asdict(),
            **pruning,
        },
        result.history,
        Samples(result.record, predicted, wrong),
        result.best_state,
        seconds=seconds,
    )
