"""Faults of public copies of this loss (PAPER.md section 5): each formula as it is found, what it does, and ours."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close

from labelnoise.losses import gce_loss

LABEL = torch.tensor([0])


def softmax_power(logits: Tensor, labels: Tensor, q: float = 0.7) -> Tensor:
    """AlanChou/Truncated-Loss, Keras core."""
    p = logits.softmax(1).gather(1, labels[:, None]).squeeze(1)
    return (1 - p**q) / q


def clamped(logits: Tensor, labels: Tensor, q: float = 0.7) -> Tensor:
    """Active-Passive losses."""
    p = logits.softmax(1).clamp(1e-7, 1).gather(1, labels[:, None]).squeeze(1)
    return (1 - p**q) / q


def expm1_by_autograd(logits: Tensor, labels: Tensor, q: float = 0.7) -> Tensor:
    """The obvious repair of softmax_power."""
    return torch.expm1(-q * F.cross_entropy(logits, labels, reduction="none")) / -q


def detached_weight(logits: Tensor, labels: Tensor, q: float = 0.7, factor: float = 1.0) -> Tensor:
    """Cross entropy times detached p^q; LfF multiplies by q once more (issue alinlab/LfF#3)."""
    p = logits.softmax(1).gather(1, labels[:, None]).squeeze(1)
    return F.cross_entropy(logits, labels, reduction="none") * p.detach() ** q * factor


def one_minus_p_to_the_q(logits: Tensor, labels: Tensor, q: float) -> Tensor:
    """As CampusAI prints it."""
    return (1 - logits.softmax(1).gather(1, labels[:, None]).squeeze(1)) ** q / q


def weight_inside(logits: Tensor, labels: Tensor, weight: Tensor, q: float = 0.7) -> Tensor:
    """The class weight handed on to the cross entropy that is then transformed."""
    return -torch.expm1(-q * F.cross_entropy(logits, labels, weight=weight, reduction="none")) / q


def ours(logits: Tensor, labels: Tensor, q: float = 0.7, **options) -> Tensor:
    return gce_loss(logits, labels, q, reduction="none", **options)


def gradient(loss, logits: Tensor, labels: Tensor = LABEL, *args) -> Tensor:
    logits = logits.clone().requires_grad_()
    return torch.autograd.grad(loss(logits, labels, *args).sum(), logits)[0]


@pytest.mark.parametrize(("gap", "dtype"), [(105, torch.float32), (105, torch.bfloat16), (18, torch.float16)])
def test_softmax_then_power_has_a_nan_gradient(gap, dtype):
    logits = torch.tensor([[-gap, 0.0, 0.0]], dtype=dtype)
    assert gradient(softmax_power, logits).isnan().any()
    # p^q = (e^-gap / 2)^q, here times (-1, 1/2, 1/2); 1 % is the rounding of bfloat16, 1e-7 the last bit of float16
    wanted = (math.exp(-gap) / 2) ** 0.7 * torch.tensor([[-1.0, 0.5, 0.5]])
    assert_close(gradient(ours, logits).float(), wanted, rtol=1e-2, atol=1e-7 if dtype is torch.float16 else 0)


def test_one_minus_power_loses_its_digits_for_small_q():
    logits = torch.tensor([[-3.0, math.log(1 - math.exp(-3))]])  # p_y = e^-3
    exact = -math.expm1(-3e-5) / 1e-5
    assert abs(softmax_power(logits, LABEL, 1e-5).item() - exact) > 1e-3
    assert ours(logits, LABEL, 1e-5).item() == pytest.approx(exact, rel=1e-6)  # a few ulp of 6e-8
    assert softmax_power(logits, LABEL, 1e-9).item() == 0


def test_clamp_takes_the_gradient_of_badly_fitted_samples_away():
    logits = torch.tensor([[-17.0, 0.0]])
    assert not gradient(clamped, logits).any()
    wanted = math.exp(-17) ** 0.7 * torch.tensor([[-1.0, 1.0]])
    assert_close(gradient(ours, logits), wanted, rtol=1e-5, atol=0)  # |z| eps = 17 * 6e-8


def test_autograd_through_expm1_takes_it_away_too():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(256, 8000, generator=generator).bfloat16()
    labels = torch.randint(8000, (256,), generator=generator)
    without_gradient = [(~gradient(loss, logits, labels).any(dim=1)).sum() for loss in (expm1_by_autograd, ours)]
    assert without_gradient[0] > 128
    assert without_gradient[1] == 0


def test_half_precision_throughout_is_nothing_at_tiny_q():
    logits = torch.tensor([[1.0, 0.0]], dtype=torch.float16)
    assert expm1_by_autograd(logits, LABEL, 1e-8) == 0
    assert not gradient(expm1_by_autograd, logits, LABEL, 1e-8).isfinite().any()
    assert ours(logits, LABEL, 1e-8).item() == pytest.approx(math.log1p(math.exp(-1)), rel=1e-6)  # a few ulp of 6e-8
    assert gradient(ours, logits, LABEL, 1e-8).isfinite().all()


def test_detached_weight_has_the_gradient_or_q_times_it_but_never_the_value():
    logits = torch.tensor([[0.3, 1.0, -0.5]], dtype=torch.float64)
    assert_close(gradient(detached_weight, logits, LABEL, 0.7), gradient(ours, logits))
    assert_close(gradient(detached_weight, logits, LABEL, 0.7, 0.7), 0.7 * gradient(ours, logits))
    for factor in (1.0, 0.7):
        assert abs(detached_weight(logits, LABEL, 0.7, factor) - ours(logits, LABEL)) > 0.1


def test_one_minus_p_to_the_q_is_another_loss():
    """It agrees at q = 1, runs off to 1/q instead of to cross entropy, and its gradient has no end where p_y is 1."""
    logits = torch.tensor([[0.3, 1.0, -0.5]], dtype=torch.float64)
    assert_close(one_minus_p_to_the_q(logits, LABEL, 1.0), ours(logits, LABEL, 1.0))
    assert one_minus_p_to_the_q(logits, LABEL, 1e-3) > 999
    assert_close(ours(logits, LABEL, 1e-3), F.cross_entropy(logits, LABEL, reduction="none"), rtol=1e-3, atol=0)
    sure = torch.tensor([[30.0, 0.0, 0.0]], dtype=torch.float64)
    assert gradient(one_minus_p_to_the_q, sure, LABEL, 0.7).abs().max() > 1e3 * gradient(ours, sure).abs().max()


def test_q_runs_from_cross_entropy_to_mae_and_not_back():
    """The first text of Keras's pull request had it backwards."""
    logits = torch.tensor([[0.3, 1.0, -0.5]], dtype=torch.float64)
    half_of_mae, cross_entropy = 1 - logits.softmax(1)[:, 0], F.cross_entropy(logits, LABEL, reduction="none")
    for q, near, far in [(1e-6, cross_entropy, half_of_mae), (1 - 1e-6, half_of_mae, cross_entropy)]:
        assert_close(ours(logits, LABEL, q), near, rtol=1e-5, atol=0)  # q ce / 2 from the limit
        assert (ours(logits, LABEL, q) - far).abs() > 0.1


def test_weight_inside_the_power_is_another_loss():
    logits, weight = torch.tensor([[0.3, 1.0, -0.5]], dtype=torch.float64), torch.tensor([3.0, 1.0, 1.0]).double()
    assert_close(ours(logits, LABEL, weight=weight), 3 * ours(logits, LABEL))
    assert weight_inside(logits, LABEL, weight) < 0.7 * ours(logits, LABEL, weight=weight)
