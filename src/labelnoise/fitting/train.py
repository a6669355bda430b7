"""Candidates, each trained in a process of its own with a checkpoint of its own."""

import os
import warnings
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, cast

import joblib
import torch
from jaxtyping import Bool, Float, Int64
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError
from torch import Tensor

from labelnoise import _files
from labelnoise._types import Batch
from labelnoise.fitting.data import Prepared, Request, kept, validation_fraction
from labelnoise.fitting.recipe import TrainingRecipe, build_network, build_objective, build_optimizer
from labelnoise.objectives import PrunedLoss, PruningWarning
from labelnoise.runs import Part
from labelnoise.training import (
    EpochMetrics,
    NonFiniteLossError,
    Trajectory,
    build_augment,
    build_schedule,
    child_generator,
    evaluate,
    load_checkpoint,
    open_fabric,
    polling,
    predict,
    save_checkpoint,
    seeded,
    split_validation,
    train,
    working_for,
)

# What a trajectory goes on to: before, a network may have all labels right and hardly have left its start.
_LEAST_STEPS, _LEAST_SHARE = 512, 4


class Job(NamedTuple):
    """One training."""

    name: str
    """Of its folder."""
    loss: Part
    leave_out: Bool[Tensor, "n"] | None = None
    """Rows of the data that are not trained on."""
    held: Int64[Tensor, "rows"] | None = None
    """Rows of the data to be predicted by a model that saw none of them: validation is a part of the others."""


class Trained(NamedTuple):
    """What a training came to."""

    history: list[EpochMetrics]
    best_epoch: int
    state: dict[str, Tensor]
    """The weights of the best epoch."""
    index: Int64[Tensor, "n"]  # pyright: ignore[reportIncompatibleMethodOverride] (hides tuple.index)
    """Rows of the data it was trained on, in the order of what follows."""
    trajectory: Float[Tensor, "n k"]
    """See :class:`labelnoise.training.Trajectory`."""
    mean_margin: Float[Tensor, "n"]
    """Logit of the given label less the largest other one, mean over all epochs."""
    last_loss: Float[Tensor, "n"]
    """Cross entropy of the given label in the last epoch, nats."""
    epochs_pruned: Int64[Tensor, "n"] | None
    validation: Float[Tensor, "m k"]
    """Probabilities of the validation samples, at the best epoch."""
    test_accuracy: tuple[float, float] | None
    """At the best epoch and at the last, looked at when both are past; None without a test set."""
    held: Float[Tensor, "rows k"] | None


class Work(NamedTuple):
    """What the jobs of one fit have in common."""

    request: Request
    recipe: TrainingRecipe
    epochs: int
    balanced: bool
    device: str
    folder: Path


def train_all(
    work: Work, jobs: Sequence[Job], *, workers: int, on_progress: Callable[[int], None]
) -> dict[str, Trained | str]:
    """Train what is not trained yet, ``workers`` at a time; of a loss that became NaN there is only the message.

    Args:
        work: what all share.
        jobs: each with a name of its own.
        workers: processes of one thread.
        on_progress: told how many epochs are done, all jobs together.

    Raises:
        ChildProcessError: a worker was killed; what it had done lies in its checkpoint.
    """
    folders = [work.folder / job.name for job in jobs]
    try:
        with polling(lambda: on_progress(sum(map(_epochs_done, folders)))):
            done = joblib.Parallel(n_jobs=min(workers, len(jobs)))(
                joblib.delayed(_work)(work, job, os.getpid()) for job in jobs
            )
    except TerminatedWorkerError:
        raise ChildProcessError("a worker process was killed; the same command goes on from its checkpoint") from None
    finally:
        get_reusable_executor().shutdown(wait=True)
    return dict(zip((job.name for job in jobs), cast("list[Trained | str]", done), strict=True))


def _epochs_done(folder: Path) -> int:
    return int((folder / "epoch").read_text() or 0) if (folder / "epoch").exists() else 0


def _work(work: Work, job: Job, driver: int) -> Trained | str:
    with working_for(driver), warnings.catch_warnings():
        warnings.simplefilter("ignore", PruningWarning)  # validation judges a candidate that has pruned too much
        folder = work.folder / job.name
        folder.mkdir(parents=True, exist_ok=True)
        result = folder / "result.pt"
        if result.exists():
            return _loaded(load_checkpoint(result))
        try:
            trained = _train(work, job, folder)
        except NonFiniteLossError as error:
            return str(error)
        save_checkpoint(result, _storable(trained))
        (folder / "checkpoint.pt").unlink(missing_ok=True)
        return trained


def _train(work: Work, job: Job, folder: Path) -> Trained:
    prepared, recipe = kept(work.request), work.recipe
    training, validation, held = _parts(prepared, job, work.request)
    seed, num_classes = work.request.seed, len(prepared.class_names)
    images = training.inputs if prepared.own.kind == "image" else None
    network = build_network(recipe.model, tuple(training.inputs.shape[1:]), num_classes, images=images, seed=seed)
    optimizer = build_optimizer(network, recipe)
    batch_size = _batch_size(len(training.labels), recipe.batch_size)
    steps = -(-len(training.labels) // batch_size)
    fabric = open_fabric(work.device, recipe.precision)
    least = min(_LEAST_STEPS // steps, work.epochs // _LEAST_SHARE)
    trajectory = Trajectory(len(training.labels), num_classes, fabric.device, least_epochs=least)
    objective = build_objective(
        job.loss, epochs=work.epochs, num_samples=len(training.labels), class_names=prepared.class_names
    )

    def on_epoch(metrics: EpochMetrics) -> None:
        with _files.replacing(folder / "epoch") as file:
            file.write(str(metrics.epoch).encode())

    with seeded(seed, "layers"):
        result = train(
            network,
            objective,
            training,
            validation,
            fabric=fabric,
            optimizer=optimizer,
            schedule=build_schedule("one_cycle", optimizer, epochs=work.epochs, steps_per_epoch=steps),
            epochs=work.epochs,
            batch_size=batch_size,
            generator=child_generator(seed, "order"),
            augment=build_augment(recipe.augment.name, **recipe.augment.settings) if recipe.augment else None,
            balanced=work.balanced,
            trajectory=trajectory,
            checkpoint=folder / "checkpoint.pt",
            on_epoch=on_epoch,
        )

    def probabilities(inputs: Any) -> Tensor:
        return predict(network, result.best_state, inputs, fabric=fabric).cpu()

    test_accuracy = None
    if prepared.test is not None:
        hits = probabilities(prepared.test.inputs).argmax(1) == prepared.test.labels
        test_accuracy = hits.double().mean().item(), evaluate(network, prepared.test, fabric=fabric)[0]
    return Trained(
        history=result.history,
        best_epoch=result.best_epoch,
        state={name: value.cpu() for name, value in result.best_state.items()},
        index=training.index,
        trajectory=trajectory.probability.cpu(),
        mean_margin=result.record.margin.float().mean(0),
        last_loss=result.record.loss[-1].float(),
        epochs_pruned=objective.epochs_pruned.cpu() if isinstance(objective, PrunedLoss) else None,
        validation=probabilities(validation.inputs),
        test_accuracy=test_accuracy,
        held=None if held is None else probabilities(held.inputs),
    )


def _batch_size(samples: int, wanted: int) -> int:
    """A little more where the last batch would be one sample, of which batch normalisation has nothing to go by."""
    return next(size for size in count(wanted) if samples % size != 1 or samples == 1)


def _parts(prepared: Prepared, job: Job, request: Request) -> tuple[Batch, Batch, Batch | None]:
    """What a job is trained on, what chooses its best epoch, and what it predicts."""
    training, validation = prepared.training, prepared.validation
    if job.leave_out is not None:
        training = training.take(job.leave_out[training.index].logical_not().nonzero()[:, 0])
    if job.held is None:
        return training, validation, None
    whole = prepared.whole
    position = torch.empty_like(whole.index).index_put_((whole.index,), torch.arange(len(whole.index)))
    held = whole.take(position[job.held])
    if request.trusted:
        seen = [
            part.take(torch.isin(part.index, job.held).logical_not().nonzero()[:, 0]) for part in (training, validation)
        ]
        return seen[0], seen[1], held
    others = whole.take(torch.isin(whole.index, job.held).logical_not().nonzero()[:, 0])
    fold = child_generator(request.seed, "fold")
    rows, chosen = split_validation(others.labels, fraction=validation_fraction(len(others.labels)), generator=fold)
    return others.take(rows), others.take(chosen), held


def _storable(trained: Trained) -> dict[str, Any]:
    return trained._asdict() | {"history": torch.tensor(trained.history, dtype=torch.float64)}


def _loaded(state: dict[str, Any]) -> Trained:
    history = [EpochMetrics(int(epoch), *rest) for epoch, *rest in state.pop("history").tolist()]
    return Trained(history=history, **state)
