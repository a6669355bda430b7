"""The folder of one run: the only code that knows what lies where on disk.

config.json          the run's settings, whose hash names the folder
environment.json     versions and hardware it ran with
checkpoint.pt        the state after the last finished epoch, while it runs
weights.safetensors  the model of the best noisy-validation epoch
history.csv          a row an epoch
samples.npz          a row a training sample: the training record, the best model's prediction, the truth
timing.json          seconds of the process that finished it
metrics.json         written last: a folder that has it is finished
"""

import csv
import io
import json
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
from labelnoise.training import EpochMetrics


class Samples(NamedTuple):
    """What a run says of every training sample, and the truth where the noise is synthetic."""

    record: TrainingRecord
    predicted: Int64[Tensor, "n"]
    """The best model's label."""
    wrong: Bool[Tensor, "n"]
    """Whether the given label differs from the true one."""


class Run(NamedTuple):
    """A finished run, as read back."""

    config: RunConfig
    environment: dict[str, Any]
    metrics: dict[str, Any]
    seconds: float
    history: list[EpochMetrics]
    samples: Samples


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
        return (self.path / "metrics.json").exists()

    def open(self) -> None:
        """Make the folder and say what runs in it, with which versions."""
        self.path.mkdir(parents=True, exist_ok=True)
        self._write("config.json", _json(self.config.model_dump(mode="json")))
        self._write("environment.json", _json(environment()))

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
        self._write("weights.safetensors", safetensors_bytes({k: v.cpu().contiguous() for k, v in weights.items()}))
        table = io.StringIO(newline="")
        csv.writer(table, lineterminator="\n").writerows([EpochMetrics._fields, *history])
        self._write("history.csv", table.getvalue().encode())
        arrays = io.BytesIO()
        record = {name: value.numpy() for name, value in samples.record._asdict().items()}
        np.savez_compressed(arrays, **record, predicted=samples.predicted.numpy(), wrong=samples.wrong.numpy())
        self._write("samples.npz", arrays.getvalue())
        self._write("timing.json", _json({"seconds": seconds}))
        for leftover in self.path.glob(".*"):  # of a process killed in the middle of a write
            leftover.unlink()
        self._write("metrics.json", _json(metrics))
        self.checkpoint.unlink(missing_ok=True)

    def read(self) -> Run:
        """The finished run."""
        with (self.path / "history.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        history = [EpochMetrics(int(row.pop("epoch")), **{k: float(v) for k, v in row.items()}) for row in rows]
        with np.load(self.path / "samples.npz", allow_pickle=False) as arrays:
            tensors = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
        predicted, wrong = tensors.pop("predicted"), tensors.pop("wrong")
        return Run(
            config=self.config,
            environment=self._read_json("environment.json"),
            metrics=self._read_json("metrics.json"),
            seconds=self._read_json("timing.json")["seconds"],
            history=history,
            samples=Samples(TrainingRecord(**tensors), predicted, wrong),
        )

    def _read_json(self, name: str) -> dict[str, Any]:
        return json.loads((self.path / name).read_text())

    def _write(self, name: str, content: bytes) -> None:
        with _files.replacing(self.path / name) as file:
            file.write(content)


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()
