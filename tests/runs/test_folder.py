import json

import pytest
import torch
from safetensors.torch import load_file
from test_config import SETTINGS

from labelnoise._types import TrainingRecord
from labelnoise.runs import RunConfig, RunFolder, Samples
from labelnoise.training import EpochMetrics


def test_a_run_comes_back_as_it_was_written(tmp_path):
    folder = RunFolder(tmp_path, RunConfig(**SETTINGS))
    folder.path.mkdir()
    assert not folder.is_finished
    folder.checkpoint.write_bytes(b"state")
    (folder.path / ".run.json.x").touch()  # of a kill in the middle of a write
    history = [EpochMetrics(1, 0.1 + 0.2, 0.5, 1.0, float("nan")), EpochMetrics(2, 1 / 3, 0.75, 0.5, 0.25)]
    record = TrainingRecord(torch.arange(3), torch.tensor([0, 1, 0]), torch.rand(2, 3).half(), torch.rand(2, 3).half())
    samples = Samples(record, torch.tensor([1, 1, 0]), torch.tensor([True, False, False]))
    weights = {"layer": torch.rand(2, 2).T}  # not contiguous, as a channels-last weight is not
    folder.finish({"best_epoch": 2, "score": 0.1}, history, samples, weights, seconds=1.5)

    assert folder.is_finished
    run = folder.read()
    assert run.metrics == {"best_epoch": 2, "score": 0.1}
    assert run.seconds == 1.5
    assert repr(run.history) == repr(history)  # NaN is not equal to itself
    read = run.samples()
    assert all(torch.equal(a, b) for a, b in zip(read.record, record, strict=True))
    assert torch.equal(read.predicted, samples.predicted)
    assert torch.equal(read.wrong, samples.wrong)
    assert run.environment["torch"] == torch.__version__
    probability = record.loss.float().neg().exp()
    assert [belief.wrong for belief in run.belief] == pytest.approx(probability[:, 0].tolist())
    assert [belief.right for belief in run.belief] == pytest.approx(probability[:, 1:].mean(1).tolist())
    assert torch.equal(load_file(folder.path / "weights.safetensors")["layer"], weights["layer"])
    expected = {"history.csv", "run.json", "samples.npz", "weights.safetensors"}
    assert {path.name for path in folder.path.iterdir()} == expected
    assert RunConfig(**json.loads((folder.path / "run.json").read_text())["config"]) == folder.config

    for large in ("samples.npz", "weights.safetensors"):
        (folder.path / large).unlink()
    assert repr(folder.read()) == repr(run)
    assert run.samples() is None

    (folder.path / "samples.npz").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    with pytest.raises(ValueError, match=r"samples\.npz is damaged; without it"):
        run.samples()
    for name, damage in (("history.csv", "epoch,other\n1,2\n"), ("run.json", "[]"), ("run.json", "")):
        before = (folder.path / name).read_bytes()
        (folder.path / name).write_text(damage)
        with pytest.raises(ValueError, match=f"{folder.path} is damaged; remove the folder"):
            folder.read()
        (folder.path / name).write_bytes(before)
