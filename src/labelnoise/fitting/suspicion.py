"""From a training run, or from folds, to the audit of every row of the data."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from labelnoise.audit import Audit, audit_labels
from labelnoise.audit.readings import Assume
from labelnoise.fitting.data import Prepared
from labelnoise.fitting.train import Job, Trained
from labelnoise.runs import Part
from labelnoise.training import child_generator


def audit_run(
    prepared: Prepared,
    trained: Trained,
    probabilities: Float[Tensor, "n k"],
    *,
    assume: Assume = "auto",
    max_false_flags: float | None = None,
) -> Audit:
    """The audit of all rows by ``probabilities``, with the run's own evidence beside it.

    Of trusted rows it says what was decided: p_wrong is 0 where the given label was kept, and 1 where it was not.

    Args:
        prepared: the data.
        trained: the run.
        probabilities: :func:`one_run` or :func:`cross_validated`.
        assume, max_false_flags: as of :func:`labelnoise.audit.audit_labels`.
    """
    doubted = np.setdiff1d(np.arange(len(prepared.given)), prepared.trusted.numpy())
    found = audit_labels(
        probabilities[doubted],
        prepared.given[doubted],
        class_names=prepared.class_names,
        assume=assume,
        max_false_flags=max_false_flags,
    )
    decided, trusted = prepared.given.numpy(), prepared.trusted.numpy()
    given = np.searchsorted(np.array(prepared.class_names, dtype=object), np.array(prepared.own.labels, dtype=object))
    suggested, p_wrong = decided.copy(), (decided != given).astype(np.float64)
    known = p_wrong.mean()
    suggested[doubted], p_wrong[doubted] = found.suggested, found.p_wrong
    joint = found.joint.copy()
    np.add.at(joint, (decided[trusted], given[trusted]), 1)
    share = len(doubted) / len(given)
    return found._replace(
        index=np.arange(len(given)),
        ids=prepared.own.ids,
        given=given,
        suggested=suggested,
        p_wrong=p_wrong,
        estimate=found.estimate._make(share * rate + known for rate in found.estimate),
        joint=joint,
        evidence=_evidence(trained, len(given)),
    )


def one_run(prepared: Prepared, trained: Trained) -> Float[Tensor, "n k"]:
    """What one run says of every row: its trajectory of those it trained on, a prediction of those held out."""
    n, k = len(prepared.given), len(prepared.class_names)
    probabilities = torch.full((n, k), 1 / k)
    probabilities[trained.index] = trained.trajectory
    own = prepared.validation.index >= 0
    probabilities[prepared.validation.index[own]] = trained.validation[own]
    return probabilities


def fold_jobs(prepared: Prepared, loss: Part, *, folds: int, seed: int) -> list[Job]:
    """One training a fold, shuffled and stratified by the given label; trusted rows are in none."""
    doubted = torch.from_numpy(np.setdiff1d(np.arange(len(prepared.given)), prepared.trusted.numpy()))
    shuffled = doubted[torch.randperm(len(doubted), generator=child_generator(seed, "folds"))]
    by_label = shuffled[prepared.given[shuffled].argsort(stable=True)]
    return [Job(f"fold-{fold + 1}", loss, held=by_label[fold::folds]) for fold in range(folds)]


def cross_validated(prepared: Prepared, jobs: Sequence[Job], folds: Sequence[Trained]) -> Float[Tensor, "n k"]:
    """What the run that had not seen a row says of it."""
    n, k = len(prepared.given), len(prepared.class_names)
    probabilities = torch.full((n, k), 1 / k)
    for job, trained in zip(jobs, folds, strict=True):
        assert job.held is not None
        assert trained.held is not None
        probabilities[job.held] = trained.held
    return probabilities


def _evidence(trained: Trained, n: int) -> dict[str, list[float | int | None]]:
    """By column; nothing where a row was held out."""
    columns = {"mean_margin": trained.mean_margin, "loss": trained.last_loss, "epochs_pruned": trained.epochs_pruned}
    return {name: _spread(values, trained.index, n) for name, values in columns.items() if values is not None}


def _spread(values: Tensor, index: Int64[Tensor, "rows"], n: int) -> list[float | int | None]:
    column: list[float | int | None] = [None] * n
    for row, value in zip(index.tolist(), values.tolist(), strict=True):
        column[row] = value
    return column
