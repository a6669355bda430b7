"""The folder of one run: the only code that knows what lies where on disk.

checkpoint.pt        the state after the last finished epoch, while it runs; estimate.pt that of a first training
history.csv          a row an epoch
samples.npz          a row a training sample: the training record, the best model's prediction, the truth
weights.safetensors  the model of the best noisy-validation epoch
run.json             settings, versions and hardware, metrics, time; written last: a folder that has it is finished

A finished run is read without its samples and weights too, so that a record of many runs stays small.
"""

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int64
from safetensors.torch import save as safetensors_bytes
from torch import Tensor

from labelnoise import _files
from labelnoise._types import TrainingRecord
from labelnoise.runs.config import RunConfig
from labelnoise.runs.environment import environment
from labelnoise.training import EpochMetrics, load_checkpoint

_FINISHED = "run.json"
_SAMPLES = "samples.npz"
_DAMAGE = (ValueError, KeyError, TypeError, zipfile.BadZipFile)
_BELIEF = ("label_probability_right", "label_probability_wrong")


class Samples(NamedTuple):
    """What a run says of every training sample, and the truth where the noise is synthetic."""

    record: TrainingRecord
    predicted: Int64[Tensor, "n"]
    """The best model's label."""
    wrong: Bool[Tensor, "n"]
    """Whether the given label differs from the true one."""


class Belief(NamedTuple):
    """Mean p_y in one epoch's steps; NaN where no sample is of the kind."""

    right: float
    """Of the rightly labelled training samples."""
    wrong: float


class Run(NamedTuple):
    """A finished run, as read back."""

    config: RunConfig
    environment: dict[str, Any]
    metrics: dict[str, Any]
    seconds: float
    """In all its processes, but for what was lost where one was cut off."""
    history: list[EpochMetrics]
    belief: list[Belief]
    """A row an epoch, like the history."""
    path: Path
    """Its folder."""

    def samples(self) -> Samples | None:
        """Read when asked for, as those of many runs fill the memory; ``None`` where only the small files were kept.

        Raises:
            ValueError: a damaged file.
        """
        try:
            with np.load(self.path / _SAMPLES, allow_pickle=False) as arrays:
                tensors = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
            predicted, wrong = tensors.pop("predicted"), tensors.pop("wrong")
            return Samples(TrainingRecord(**tensors), predicted, wrong)
        except FileNotFoundError:
            return None
        except _DAMAGE:
            raise ValueError(
                f"{self.path / _SAMPLES} is damaged; without it the report is written all the same"
            ) from None


class RunFolder:
    """One run's files, each whole or absent."""

    def __init__(self, root: Path, config: RunConfig) -> None:
        self.config = config
        self.path = root / config.run_id

    @property
    def checkpoint(self) -> Path:
        """Where the loop keeps its state."""
        return self.path / "checkpoint.pt"

    @property
    def is_finished(self) -> bool:
        """Whether there is nothing left to do."""
        return (self.path / _FINISHED).exists()

    @property
    def seconds_before(self) -> float:
        """What a run that was cut off had taken up to its checkpoint, and a first training before it."""
        return sum((load_checkpoint(path)["seconds"] for path in self.path.glob("*.pt")), 0.0)

    def finish(
        self,
        metrics: dict[str, Any],
        history: list[EpochMetrics],
        samples: Samples,
        weights: dict[str, Tensor],
        *,
        seconds: float,
    ) -> None:
        """Write the results, the file that marks the end last, and drop the checkpoint."""
        self.path.mkdir(parents=True, exist_ok=True)
        self._write("weights.safetensors", safetensors_bytes({k: v.cpu().contiguous() for k, v in weights.items()}))
        table = io.StringIO(newline="")
        rows = ((*metrics, *belief) for metrics, belief in zip(history, _beliefs(samples), strict=True))
        csv.writer(table, lineterminator="\n").writerows([(*EpochMetrics._fields, *_BELIEF), *rows])
        self._write("history.csv", table.getvalue().encode())
        arrays = io.BytesIO()
        record = {name: value.numpy() for name, value in samples.record._asdict().items()}
        np.savez_compressed(arrays, **record, predicted=samples.predicted.numpy(), wrong=samples.wrong.numpy())
        self._write(_SAMPLES, arrays.getvalue())
        for leftover in self.path.glob(".*"):  # of a process killed in the middle of a write
            leftover.unlink()
        config = self.config.model_dump(mode="json")
        run = {"config": config, "environment": environment(), "metrics": metrics, "seconds": seconds}
        self._write(_FINISHED, (json.dumps(run, indent=2, sort_keys=True) + "\n").encode())
        for checkpoint in self.path.glob("*.pt"):
            checkpoint.unlink()

    def read(self) -> Run:
        """The finished run."""
        try:
            run = json.loads((self.path / _FINISHED).read_text())
            with (self.path / "history.csv").open(newline="") as file:
                rows = list(csv.DictReader(file))
            belief = [Belief(*(float(row.pop(name)) for name in _BELIEF)) for row in rows]
            history = [EpochMetrics(int(row.pop("epoch")), **{k: float(v) for k, v in row.items()}) for row in rows]
            return Run(self.config, run["environment"], run["metrics"], run["seconds"], history, belief, self.path)
        except _DAMAGE:
            raise ValueError(
                f"{_FINISHED} or history.csv in {self.path} is damaged; remove the folder, and the run is done again"
            ) from None

    def _write(self, name: str, content: bytes) -> None:
        with _files.replacing(self.path / name) as file:
            file.write(content)


def _beliefs(samples: Samples) -> list[Belief]:
    probability = samples.record.label_probability
    sides = (probability[:, samples.wrong == side].mean(1).tolist() for side in (False, True))
    return [Belief(*both) for both in zip(*sides, strict=True)]
