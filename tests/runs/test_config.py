import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from labelnoise.runs import RunConfig

SETTINGS = {
    "dataset": {"name": "digits"},
    "dataset_checksum": "abc",
    "noise": {"name": "symmetric"},
    "rate": 0.4,
    "loss": {"name": "gce", "q": 0.7},
    "model": {"name": "mlp", "hidden": [8]},
    "epochs": 2,
    "batch_size": 64,
    "learning_rate": 0.01,
    "momentum": 0.9,
    "weight_decay": 0.0,
    "schedule": {"name": "multi_step"},
    "validation_fraction": 0.2,
    "precision": "32-true",
    "seed": 0,
}


def test_the_id_is_a_function_of_every_setting():
    config = RunConfig(**SETTINGS)
    assert config.run_id == RunConfig(**dict(reversed(SETTINGS.items()))).run_id
    assert len(config.run_id) == 16
    changes = {
        **{name: value + 1 for name, value in SETTINGS.items() if isinstance(value, int)},
        **{name: value / 2 for name, value in SETTINGS.items() if isinstance(value, float) and value},
        "weight_decay": 0.1,
        "train_samples": 100,
        "features": {"name": "tfidf"},
        "augment": {"name": "crop"},
        "nesterov": True,
        "stacked": True,
        "compiled": True,
        "dataset_checksum": "abd",
        "precision": "bf16-mixed",
        **{name: {"name": "other"} for name in ("dataset", "noise", "schedule")},
        "loss": {"name": "gce", "q": 0.6},
        "model": {"name": "mlp", "hidden": [9]},
    }
    assert changes.keys() == RunConfig.model_fields.keys()
    ids = {RunConfig(**SETTINGS | {name: value}).run_id for name, value in changes.items()}
    assert len(ids | {config.run_id}) == len(changes) + 1


@pytest.mark.parametrize(
    ("name", "value"),
    [("rate", 1.5), ("epochs", 0), ("batch_size", 0), ("learning_rate", 0.0), ("precision", "8-bit"), ("sede", 1)],
)
def test_what_makes_no_sense_is_refused(name, value):
    with pytest.raises(ValidationError, match=name):
        RunConfig(**SETTINGS | {name: value})


def test_it_is_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        RunConfig(**SETTINGS).seed = 1


@pytest.mark.parametrize(
    ("changes", "together"),
    [
        ({"seed": 7, "rate": 0.1, "noise": {"name": "pair_flip"}, "loss": {"name": "cce"}}, True),
        ({"learning_rate": 0.1}, False),
        ({"epochs": 3}, False),
        ({"model": {"name": "mlp", "hidden": [9]}}, False),
        ({"stacked": False}, False),
    ],
)
def test_what_is_trained_together_differs_in_noise_loss_and_seed_alone(changes, together):
    config, other = (RunConfig(**SETTINGS | {"stacked": True} | more) for more in ({}, changes))
    assert config.stacks_with(other) == together
    assert other.stacks_with(config) == together
    assert not RunConfig(**SETTINGS).stacks_with(RunConfig(**SETTINGS))


def test_recorded_runs_keep_their_ids():
    recorded = list((Path(__file__).parents[2] / "reproductions").rglob("runs/*/run.json"))
    assert len(recorded) > 100
    for path in recorded:
        assert RunConfig(**json.loads(path.read_text())["config"]).run_id == path.parent.name
