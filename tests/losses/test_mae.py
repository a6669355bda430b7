import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from labelnoise.losses import gce_loss, mae_loss

pytestmark = pytest.mark.usefixtures("path")

LOGITS = 4 * torch.randn(2, 50, 6, generator=torch.Generator().manual_seed(0))
SOFT = LOGITS[1].softmax(1)
HARD = LOGITS[1].argmax(1)


@pytest.mark.parametrize("labels", [HARD, SOFT], ids=["hard", "soft"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize(
    "options", [{}, {"weight": torch.arange(1.0, 7.0) / 3, "label_smoothing": 0.1}], ids=["", "options"]
)
def test_exactly_twice_lq_at_one(labels, dtype, options):
    logits = (100 * LOGITS[0]).to(dtype).requires_grad_()
    for reduction in ("none", "mean", "sum"):
        mae = mae_loss(logits, labels, reduction=reduction, **options)
        half = gce_loss(logits, labels, q=1.0, reduction=reduction, **options)
        assert torch.equal(mae, 2 * half)
        (of_mae,), (of_half,) = (torch.autograd.grad(value.sum(), logits) for value in (mae, half))
        # doubling is exact, but for the half-precision gradients that are subnormal: those are rounded
        assert_close(of_mae, 2 * of_half, rtol=0, atol=torch.finfo(dtype).tiny)


def test_distance_between_softmax_and_one_hot():
    probabilities = LOGITS[0].double().softmax(1)
    wanted = [sum(abs(float(j == y) - p[j].item()) for j in range(6)) for p, y in zip(probabilities, HARD, strict=True)]
    # float32: 1 - p_y loses eps absolutely, and p_y has a relative error of |z| eps, |z| < 20
    assert_close(mae_loss(LOGITS[0], HARD, reduction="none"), torch.tensor(wanted), rtol=0, atol=2e-6)


def test_soft_label_is_an_average_over_labels_not_a_distance():
    each = torch.stack([mae_loss(LOGITS[0], torch.full((50,), j), reduction="none") for j in range(6)], dim=1)
    got = mae_loss(LOGITS[0], SOFT, reduction="none")
    assert_close(got, (SOFT * each).sum(1), rtol=1e-6, atol=1e-6)  # six float32 terms of at most 2
    distance = (SOFT - LOGITS[0].softmax(1)).abs().sum(1)
    assert (got - distance).abs().max() > 0.1


def test_gradient_is_twice_p_times_the_one_of_cross_entropy():
    logits = LOGITS[0].double().requires_grad_()
    (mae,) = torch.autograd.grad(mae_loss(logits, HARD, reduction="sum"), logits)
    (cce,) = torch.autograd.grad(F.cross_entropy(logits, HARD, reduction="sum"), logits)
    p_y = logits.softmax(1).gather(1, HARD[:, None])
    assert_close(mae, 2 * p_y * cce, rtol=1e-12, atol=1e-15)  # float64, |z| eps < 20 * 2e-16


@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0, 1e4])
def test_sum_over_labels_is_constant_and_each_at_most_two(scale):
    each = torch.stack([mae_loss(scale * LOGITS[0], torch.full((50,), j), reduction="none") for j in range(6)])
    assert each.min() >= 0
    assert each.max() <= 2
    # six float32 terms of at most 2; the p_j of one softmax sum to 1 within its own rounding
    assert_close(each.sum(0), torch.full((50,), 10.0), rtol=2e-6, atol=0)
