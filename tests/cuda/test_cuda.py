"""What runs on the CPU runs on an accelerator; skipped where there is none."""

import warnings

import pytest
import torch
from torch import nn

from labelnoise import losses, objectives
from labelnoise._types import Batch
from labelnoise.experiments import execute, load_data, load_recipe, read_all, study_runs
from labelnoise.models import Normalize
from labelnoise.training import build_augment, build_schedule, open_fabric, train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.parametrize("name", sorted(set(losses.names()) - {"forward"}))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_losses_agree_with_the_cpu(name, dtype):
    generator = torch.Generator().manual_seed(0)
    logits = (8 * torch.randn(256, 50, generator=generator)).to(dtype)
    labels = torch.randint(50, (256,), generator=generator)
    values, gradients = [], []
    for device in ("cpu", "cuda"):
        leaf = logits.to(device).requires_grad_()
        value = losses.build(name, reduction="none")(leaf, labels.to(device))
        (gradient,) = torch.autograd.grad(value.sum(), leaf)
        values.append(value.cpu())
        gradients.append(gradient.float().cpu())
    # float32 logsumexp of logits up to 40, in two orders: 40 * 2^-22; the gradient is rounded to the logits' dtype.
    torch.testing.assert_close(values[0], values[1], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=4 * torch.finfo(dtype).eps + 1e-5, atol=1e-6)


def test_a_step_of_a_loss_never_waits_for_the_device():
    logits = torch.randn(256, 50, device="cuda", requires_grad=True)
    labels = torch.randint(50, (256,), device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        for name in sorted(set(losses.names()) - {"forward"}):
            losses.build(name, weight=torch.ones(50, device="cuda"))(logits, labels).backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_more_steps_of_training_wait_no_more_often():
    """tests/training/test_host_sync.py counts the same without a device."""

    def waits(steps):
        labels = torch.arange(8 * steps) % 2
        images = torch.randint(256, (8 * steps, 3, 8, 8), dtype=torch.uint8)
        data = Batch(images, labels, torch.arange(8 * steps))
        model = nn.Sequential(Normalize.fit(images), nn.Flatten(), nn.Linear(192, 2))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        held_out = data.take(torch.arange(8))
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                train(
                    model,
                    objectives.build("pruned_gce", num_samples=8 * steps, warmup=2, update="table"),
                    data,
                    held_out,
                    fabric=open_fabric("cuda"),
                    optimizer=optimizer,
                    schedule=build_schedule("cosine", optimizer, epochs=3, steps_per_epoch=steps),
                    epochs=3,
                    batch_size=8,
                    generator=torch.Generator(),
                    augment=build_augment("crop_flip", padding=1),
                )
        finally:
            torch.cuda.set_sync_debug_mode("default")
        return sum("synchronizing CUDA operation" in str(warning.message) for warning in caught)

    assert waits(4) == waits(40) > 0


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # see tests/compile
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method`:DeprecationWarning")
@pytest.mark.parametrize(
    "changes", [{}, {"precision": "bf16-mixed"}, {"compiled": True}], ids=["stacked", "bfloat16", "compiled"]
)
def test_every_loss_of_the_demo_trains_to_the_end(changes, tmp_path):
    shorter = {"epochs": 12, "seeds": 1, "noises.0.rates": [0.2], "losses.3.warmup": 9}
    recipe = load_recipe("digits", shorter | changes)
    rates = {loss.label: 0.03 for loss in recipe.losses}
    configs = study_runs(recipe, load_data(recipe.datasets[0]), learning_rates=rates)
    for config in configs:
        execute(config, tmp_path / "runs", device="cuda")
    runs = read_all(configs, tmp_path)
    assert len(runs) == 4
    assert runs[0].metrics["test_accuracy_best"] > 0.85  # cross entropy; the CPU reaches 0.94
