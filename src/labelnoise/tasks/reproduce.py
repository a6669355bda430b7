"""Whether a recorded study still comes out as it was recorded."""

import math
import os
import random
import tempfile
from pathlib import Path
from typing import NamedTuple

from labelnoise.experiments import execute, load_data
from labelnoise.reports import spread
from labelnoise.runs import Run, RunFolder, environment
from labelnoise.tasks import study
from labelnoise.training import working_for

# What the bits of a result depend on.
_MACHINE = ("processor", "instructions", "system", "python", "torch", "numpy", "scikit-learn")


class Check(NamedTuple):
    """One run done again."""

    run: Run
    again: Run
    same_machine: bool
    """Whether the processor and the versions are those of the record."""
    allowed: float
    """How far the test accuracy of the last epoch may lie from the recorded seeds' mean; 0 where bits are compared."""
    passed: bool


def check(out: Path | str) -> Check:
    """Do one run of the recorded study in ``out`` again, drawn at random, and compare.

    On the machine type of the record, with its versions, history and metrics must agree to the bit. Elsewhere, and
    where the record is an accelerator's or does not say which vector instructions its processor had, the last epoch's
    test accuracy must lie within two standard errors of the recorded seeds' mean: of a new seed's deviation from the
    mean of n, s sqrt(1 + 1/n); of one recorded seed there is only the test set's, sqrt(p (1 - p) / tests).

    Raises:
        ValueError: no study in ``out``, or none of its runs finished.
    """
    recorded = study.read(out)
    runs = {run.config.run_id: run for run in [*recorded.runs, *recorded.own_runs]}
    if not runs:
        raise ValueError(f"no run of the study in {out} is finished")
    run = random.SystemRandom().choice(list(runs.values()))
    with tempfile.TemporaryDirectory() as scratch, working_for(os.getpid()):
        execute(run.config, Path(scratch))
        again = RunFolder(Path(scratch), run.config).read()
    recorded_here = all(run.environment.get(name) == environment()[name] for name in _MACHINE)
    if recorded_here and not run.environment.get("accelerator"):  # done again it was on the processor
        same = repr((run.metrics, run.history, run.belief)) == repr((again.metrics, again.history, again.belief))
        return Check(run, again, True, 0.0, same)  # repr, for NaN is not equal to itself
    seeds = [
        other.metrics["test_accuracy_last"]
        for other in runs.values()
        if other.config.model_copy(update={"seed": run.config.seed}) == run.config
    ]
    mean, deviation = spread(seeds)
    if math.isnan(deviation):
        deviation = math.sqrt(mean * (1 - mean) / len(load_data(run.config.dataset).dataset.test.labels))
    allowed = 2 * deviation * math.sqrt(1 + 1 / len(seeds))
    return Check(run, again, False, allowed, abs(again.metrics["test_accuracy_last"] - mean) <= allowed)
