"""What runs on the CPU runs on an accelerator; skipped where there is none."""

import pytest
import torch

from labelnoise import losses
from labelnoise.experiments import execute, load_data, load_recipe, read_all, study_runs

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


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_every_loss_of_the_demo_trains_to_the_end(precision, tmp_path):
    changes = {"epochs": 12, "seeds": 1, "noises.0.rates": [0.2], "losses.3.warmup": 9, "precision": precision}
    recipe = load_recipe("digits", changes)
    rates = {loss.label: 0.03 for loss in recipe.losses}
    configs = study_runs(recipe, load_data(recipe.dataset), learning_rates=rates)
    for config in configs:
        execute(config, tmp_path / "runs", device="cuda")
    runs = read_all(configs, tmp_path)
    assert len(runs) == 4
    assert runs[0].metrics["test_accuracy_best"] > 0.85  # cross entropy; the CPU reaches 0.94
