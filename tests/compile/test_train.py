"""A compiled training step: one graph of network and loss, and the results of a plain one but for rounding."""

import shutil

import pytest
import torch
from torch import nn
from torch._dynamo.utils import counters
from torch.testing import assert_close

from labelnoise import objectives
from labelnoise._types import Batch
from labelnoise.models import Normalize
from labelnoise.training import build_augment, build_schedule, child_generator, open_fabric, seeded, train

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),  # see test_compile.py
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method`:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:pruning after epoch"),
    pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler"),
]

SAMPLES, BATCH, EPOCHS = 40, 16, 4
PRUNED = {"warmup": 1, "period": 1, "update": "table", "k": 0.5}


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch.compiler.reset()
    counters.clear()


def trained(loss, settings, *, compiled):
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(SAMPLES) % 2
    images = torch.randint(128, (SAMPLES, 1, 6, 6), generator=generator) + 100 * labels.view(-1, 1, 1, 1)
    data = Batch(images.byte(), labels, torch.arange(SAMPLES))
    with seeded(0, "weights"):
        model = nn.Sequential(Normalize.fit(data.inputs), nn.Flatten(), nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    objective = objectives.build(loss, num_samples=SAMPLES, **settings)
    result = train(
        model,
        objective,
        data,
        data,
        fabric=open_fabric("cpu"),
        optimizer=optimizer,
        schedule=build_schedule("cosine", optimizer, epochs=EPOCHS, steps_per_epoch=-(-SAMPLES // BATCH)),
        epochs=EPOCHS,
        batch_size=BATCH,
        generator=child_generator(0, "order"),
        augment=build_augment("crop_flip", padding=1),
        compiled=compiled,
    )
    return result, objective


@pytest.mark.parametrize(("loss", "settings"), [("gce", {}), ("pruned_gce", PRUNED)])
def test_a_compiled_step_is_one_graph_and_equals_a_plain_one(loss, settings):
    plain, plain_objective = trained(loss, settings, compiled=False)
    assert not counters["stats"]
    result, objective = trained(loss, settings, compiled=True)
    assert not counters["graph_break"]
    assert counters["stats"]["unique_graphs"] == 2  # whole batches, and the last of an epoch
    # twelve steps in float32, whose sums inductor reorders
    for name, weight in plain.best_state.items():
        assert_close(result.best_state[name], weight, rtol=1e-4, atol=1e-5)
    assert_close(result.record.loss, plain.record.loss, rtol=2**-9, atol=1e-4)
    for buffer, expected in zip(objective.buffers(), plain_objective.buffers(), strict=True):
        assert_close(buffer, expected, rtol=1e-4, atol=1e-5, equal_nan=True)


def test_every_run_of_a_process_is_compiled(monkeypatch):
    """Torch gives up on code of which it has compiled so many graphs, and says so in a log only."""
    monkeypatch.setattr(torch._dynamo.config, "recompile_limit", 3)
    for graphs in (2, 4, 6):
        trained("cce", {}, compiled=True)
        assert counters["stats"]["unique_graphs"] == graphs
