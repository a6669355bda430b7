"""The order of things: train the candidates, choose, audit, train again without the flagged rows, choose again."""

from collections.abc import Callable
from typing import NamedTuple

import torch

from labelnoise.audit import Audit
from labelnoise.audit.readings import Assume
from labelnoise.fitting.choice import Score, choose, is_better, score
from labelnoise.fitting.data import Prepared
from labelnoise.fitting.plan import Plan
from labelnoise.fitting.suspicion import audit_run, cross_validated, fold_jobs, one_run
from labelnoise.fitting.train import Job, Trained, Work, train_all
from labelnoise.runs import short_names

Progress = Callable[[int], None]
REFINED = "refined"


class Fitted(NamedTuple):
    """Everything that was trained, and what came of it."""

    names: list[str]
    """Of the candidates, the refined one last if there is one."""
    trained: list[Trained]
    scores: list[Score]
    """On the validation labels."""
    chosen: int
    """Position of the model that is kept."""
    reasons: list[str]
    """What was chosen and why, sentence by sentence."""
    audit: Audit


def fit_candidates(
    prepared: Prepared,
    work: Work,
    plan: Plan,
    *,
    folds: int = 0,
    assume: Assume = "auto",
    max_false_flags: float | None = None,
    workers: int = 1,
    on_progress: Progress = lambda _: None,
) -> Fitted:
    """Do what ``plan`` says; what lies finished or half done in the work folder is not done again.

    The audit is that of the chosen candidate, from its own run or, with ``folds``, from a cross-validation of the same
    loss. The refined model takes its place only if it is better by more than the standard error of the difference.

    Raises:
        ValueError: every candidate's loss became NaN, or a fold's.
        ChildProcessError: a worker was killed.
    """
    labels, balanced, done = prepared.validation.labels, work.balanced, 0

    def run(jobs: list[Job]) -> list[Trained | str]:
        nonlocal done
        before, done = done, done + len(jobs) * plan.epochs
        results = train_all(work, jobs, workers=workers, on_progress=lambda epochs: on_progress(before + epochs))
        return [results[job.name] for job in jobs]

    called = short_names(plan.candidates)
    jobs = [Job(f"candidate-{position + 1}", loss) for position, loss in enumerate(plan.candidates)]
    names: list[str] = []
    trained: list[Trained] = []
    losses, reasons = [], []
    for loss, result in zip(plan.candidates, run(jobs), strict=True):
        if isinstance(result, str):
            reasons.append(f"{called[loss.label]} failed: {result}.")
        else:
            names.append(called[loss.label])
            trained.append(result)
            losses.append(loss)
    if not trained:
        raise ValueError(f"no candidate could be trained: {' '.join(reasons)}")
    scores = [score(result.validation.argmax(1), labels, balanced=balanced) for result in trained]
    chosen, highest = choose([result.validation.argmax(1) for result in trained], labels, balanced=balanced)
    measure = "balanced accuracy" if balanced else "accuracy"
    if len(trained) > 1:
        reasons.append(
            f"{names[highest]} has the highest {measure} on the {prepared.validation_labels} validation labels."
        )
        if chosen != highest:
            reasons.append(
                f"It is not more than a standard error above {names[chosen]}, which is kept: it comes first."
            )

    probabilities = one_run(prepared, trained[chosen])
    if folds:
        jobs = fold_jobs(prepared, losses[chosen], folds=folds, seed=work.request.seed)
        results = run(jobs)
        failed = next((result for result in results if isinstance(result, str)), None)
        if failed is not None:
            raise ValueError(f"a fold could not be trained: {failed}")
        probabilities = cross_validated(prepared, jobs, [r for r in results if isinstance(r, Trained)])
    audit = audit_run(prepared, trained[chosen], probabilities, assume=assume, max_false_flags=max_false_flags)

    flagged = torch.from_numpy(audit.is_issue)
    learned = flagged[prepared.training.index]
    if plan.refine and not learned.any():
        reasons.append("No row it was trained on is flagged, so nothing was trained again.")
    elif plan.refine and learned.all():
        reasons.append("Every label is flagged, which says more of the model than of the labels.")
    elif plan.refine:
        (refined,) = run([Job(REFINED, losses[chosen], leave_out=flagged)])
        if isinstance(refined, str):
            reasons.append(f"Training again without the flagged rows failed: {refined}.")
        else:
            names.append(f"{names[chosen]}, {REFINED}")
            trained.append(refined)
            scores.append(score(refined.validation.argmax(1), labels, balanced=balanced))
            better, gain = is_better(
                refined.validation.argmax(1), trained[chosen].validation.argmax(1), labels, balanced=balanced
            )
            reasons.append(
                f"Trained again without {int(learned.sum()):,} flagged training rows, the {measure} changes by "
                f"{100 * gain.accuracy:+.1f} ± {100 * gain.standard_error:.1f} points: "
                + (f"{names[-1]} is kept." if better else f"not more than the standard error, {names[chosen]} stays.")
            )
            chosen = len(trained) - 1 if better else chosen
    return Fitted(names, trained, scores, chosen, reasons, audit)
