"""One run: problem, model, objective, training, audit, folder."""

import time
from pathlib import Path

import torch
from torch import nn

from labelnoise import metrics, models, objectives
from labelnoise.audit import anchor_transition, audit_record
from labelnoise.experiments.problem import Problem, load_problem
from labelnoise.losses import ForwardLoss
from labelnoise.models import Normalize
from labelnoise.objectives import Objective, PrunedLoss, Stateless
from labelnoise.runs import Part, RunConfig, RunFolder, Samples
from labelnoise.training import (
    TrainingResult,
    build_augment,
    build_schedule,
    child_generator,
    open_fabric,
    predict,
    seeded,
    train,
)


def execute(config: RunConfig, root: Path, *, device: str = "cpu") -> None:
    """Do the run of ``config`` in its folder under ``root``; one that is finished stays as it is.

    Noise, split, initial weights and batch order come from streams of their own, so that runs which differ in the
    loss or the learning rate alone see the same data in the same order from the same start.

    Raises:
        ValueError: the data are not those the config was made for, or a setting that does not fit them.
    """
    folder = RunFolder(root, config)
    if folder.is_finished:
        return
    start = time.perf_counter()
    problem = load_problem(config)
    objective = _build_objective(config, problem, folder, device)
    model, result = _train(config, problem, objective, folder, folder.checkpoint, device)
    predicted = _predict(config, model, result, problem, device).argmax(1)
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
        seconds=time.perf_counter() - start,
    )


def _build_objective(config: RunConfig, problem: Problem, folder: RunFolder, device: str) -> Objective:
    """The config's loss; the forward correction gets the true transition matrix, or one that a run of CCE estimates."""
    loss = config.loss
    if loss.name != "forward":
        return objectives.build(
            loss.name, num_samples=len(problem.true_labels), class_names=problem.class_names, **loss.settings
        )
    transition = loss.settings["transition"]
    if transition == "true":
        if problem.transition is None:
            raise ValueError(f"noise {config.noise.name} has no transition matrix to correct by")
        return Stateless(ForwardLoss(problem.transition.float()))
    if transition != "estimated":
        raise ValueError(f"transition must be 'true' or 'estimated', got {transition!r}")
    plain = config.model_copy(update={"loss": Part(name="cce")})
    model, result = _train(
        plain, problem, objectives.build("cce", num_samples=0), folder, folder.path / "estimate.pt", device
    )
    return Stateless(ForwardLoss(anchor_transition(_predict(config, model, result, problem, device)).float()))


def _train(
    config: RunConfig, problem: Problem, objective: Objective, folder: RunFolder, checkpoint: Path, device: str
) -> tuple[nn.Module, TrainingResult]:
    training = problem.training
    with seeded(config.seed, "weights"):
        model = models.build(
            config.model.name,
            input_shape=training.inputs.shape[1:],
            num_classes=len(problem.class_names),
            **config.model.settings,
        )
    if isinstance(training.inputs, torch.Tensor) and training.inputs.dtype == torch.uint8:
        model = nn.Sequential(Normalize.fit(training.inputs), model)
    # A fifth faster where there are convolutions; elsewhere it does nothing.
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=config.learning_rate,
        momentum=config.momentum,
        nesterov=config.nesterov,
        weight_decay=config.weight_decay,
    )
    schedule = build_schedule(
        config.schedule.name,
        optimizer,
        epochs=config.epochs,
        steps_per_epoch=-(-len(training.labels) // config.batch_size),
        **config.schedule.settings,
    )
    augment = build_augment(config.augment.name, **config.augment.settings) if config.augment else None
    fabric = open_fabric(device, config.precision)
    folder.path.mkdir(parents=True, exist_ok=True)
    with seeded(config.seed, "layers"):  # dropout and the like
        result = train(
            model,
            objective,
            training,
            problem.validation,
            problem.test,
            fabric=fabric,
            optimizer=optimizer,
            schedule=schedule,
            epochs=config.epochs,
            batch_size=config.batch_size,
            generator=child_generator(config.seed, "order"),
            augment=augment,
            checkpoint=checkpoint,
        )
    return model, result


def _predict(
    config: RunConfig, model: nn.Module, result: TrainingResult, problem: Problem, device: str
) -> torch.Tensor:
    """Class probabilities of the training samples under the best weights, on the CPU."""
    fabric = open_fabric(device, config.precision)
    return predict(model, result.best_state, problem.training.inputs.to(fabric.device), fabric=fabric).cpu()
