"""One run: problem, model, objective, training, audit, folder."""

import time
from pathlib import Path

from torch import Tensor, nn

from labelnoise import objectives
from labelnoise.audit import anchor_transition
from labelnoise.experiments.parts import (
    build_model,
    build_objective,
    build_optimizer,
    finish,
    schedule_for,
)
from labelnoise.experiments.problem import Problem, load_problem
from labelnoise.experiments.stack import execute_stack
from labelnoise.objectives import Objective
from labelnoise.runs import Part, RunConfig, RunFolder
from labelnoise.training import TrainingResult, build_augment, child_generator, open_fabric, predict, seeded, train


def execute(config: RunConfig, root: Path, *, device: str = "cpu") -> None:
    """Do the run of ``config`` in its folder under ``root``; one that is finished stays as it is.

    Noise, split, initial weights and batch order come from streams of their own, so that runs which differ in the
    loss or the learning rate alone see the same data in the same order from the same start.

    Raises:
        ValueError: the data are not those the config was made for, or a setting that does not fit them.
        NonFiniteLossError: the loss became NaN or infinite.
    """
    folder = RunFolder(root, config)
    if folder.is_finished:
        return
    if config.stacked:
        for error in execute_stack([config], root, device=device).values():
            raise error
        return
    start = time.perf_counter() - folder.seconds_before
    problem = load_problem(config)
    objective = _objective(config, problem, folder, device)
    model, result = _train(config, problem, objective, folder, folder.checkpoint, device)
    predicted = _predict(config, model, result, problem, device).argmax(1)
    finish(folder, problem, objective, result, predicted, seconds=time.perf_counter() - start)


def _objective(config: RunConfig, problem: Problem, folder: RunFolder, device: str) -> Objective:
    """The config's loss; the forward correction gets the true transition matrix, or one that a run of CCE estimates."""
    if config.loss.name != "forward":
        return build_objective(config, problem)
    transition = config.loss.settings["transition"]
    if transition == "true":
        if problem.transition is None:
            raise ValueError(f"noise {config.noise.name} has no transition matrix to correct by")
        return build_objective(config, problem, problem.transition.float())
    if transition != "estimated":
        raise ValueError(f"transition must be 'true' or 'estimated', got {transition!r}")
    plain = config.model_copy(update={"loss": Part(name="cce")})
    model, result = _train(
        plain, problem, objectives.build("cce", num_samples=0), folder, folder.path / "estimate.pt", device
    )
    estimated = anchor_transition(_predict(config, model, result, problem, device))
    return build_objective(config, problem, estimated.float())


def _train(
    config: RunConfig, problem: Problem, objective: Objective, folder: RunFolder, checkpoint: Path, device: str
) -> tuple[nn.Module, TrainingResult]:
    model = build_model(config, problem)
    optimizer = build_optimizer(config, model.parameters())
    augment = build_augment(config.augment.name, **config.augment.settings) if config.augment else None
    fabric = open_fabric(device, config.precision)
    folder.path.mkdir(parents=True, exist_ok=True)
    with seeded(config.seed, "layers"):  # dropout and the like
        result = train(
            model,
            objective,
            problem.training,
            problem.validation,
            problem.test,
            fabric=fabric,
            optimizer=optimizer,
            schedule=schedule_for(config, problem, optimizer),
            epochs=config.epochs,
            batch_size=config.batch_size,
            generator=child_generator(config.seed, "order"),
            augment=augment,
            compiled=config.compiled,
            checkpoint=checkpoint,
        )
    return model, result


def _predict(config: RunConfig, model: nn.Module, result: TrainingResult, problem: Problem, device: str) -> Tensor:
    """Class probabilities of the training samples under the best weights, on the CPU."""
    fabric = open_fabric(device, config.precision)
    return predict(model, result.best_state, problem.training.inputs, fabric=fabric).cpu()
