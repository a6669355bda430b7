import math

import mpmath
import pytest
import torch
from torch.testing import assert_close

from labelnoise.losses._box_cox import box_cox, box_cox_slope, lq

QS = [0.0, 1e-29, 1e-8, 1e-4, 0.1, 0.5, 0.7, 1.0, 2.0]
CROSS_ENTROPIES = [0.0, 1e-7, 1e-3, 0.1, 0.6931472, 1.0, 5.0, 20.0, 87.0, 104.0]


def exact(cross_entropy: float, q: float) -> tuple[float, float]:
    """(1 - p^q) / q and its derivative by the cross entropy, p^q, to 50 digits; at q = 0 the limits."""
    with mpmath.workdps(50):
        power = mpmath.exp(-mpmath.mpf(q) * cross_entropy)
        return float((1 - power) / q if q else cross_entropy), float(power)


# Error budget: the product q ce is rounded once, which exp turns into q ce eps, at most 208 eps here; expm1, the
# division and exp itself add a few eps.
@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float32, 212 * 2**-24), (torch.float64, 212 * 2**-53)])
@pytest.mark.parametrize("q", QS)
def test_value_and_derivative_are_exact(q, dtype, rtol):
    cross_entropy = torch.tensor(CROSS_ENTROPIES, dtype=dtype, requires_grad=True)
    value = box_cox(cross_entropy, q)
    (derivative,) = torch.autograd.grad(value.sum(), cross_entropy)
    for ce, got, slope in zip(cross_entropy.tolist(), value.tolist(), derivative.tolist(), strict=True):
        # abs: below 1e-37 float32 is subnormal and loses digits
        assert (got, slope) == (
            pytest.approx(exact(ce, q)[0], rel=rtol, abs=1e-37),
            pytest.approx(exact(ce, q)[1], rel=rtol, abs=1e-37),
        )


@pytest.mark.parametrize("q", QS)
def test_of_a_number(q):
    for cross_entropy in CROSS_ENTROPIES:
        # p = exp(-ce) rounded to float64 has a relative error of 1e-16, so an absolute one of 1e-16 in the logarithm
        assert lq(math.exp(-cross_entropy), q) == pytest.approx(exact(cross_entropy, q)[0], rel=1e-13, abs=2e-16)


@pytest.mark.parametrize("q", QS)
def test_label_of_probability_zero(q):
    cross_entropy = torch.tensor([math.inf], requires_grad=True)
    value = box_cox(cross_entropy, q)
    assert value.item() == (1 / torch.tensor(q)).item()
    assert torch.autograd.grad(value, cross_entropy)[0].item() == (1 if q == 0 else 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_tensor_of_q_is_each_q(dtype):
    rows = torch.tensor([*CROSS_ENTROPIES, math.inf], dtype=dtype)
    together = rows.expand(len(QS), -1).clone().requires_grad_()
    values = box_cox(together, torch.tensor(QS, dtype=dtype)[:, None])
    (slopes,) = torch.autograd.grad(values.sum(), together)
    for q, value, slope in zip(QS, values, slopes, strict=True):
        leaf = rows.clone().requires_grad_()
        alone = box_cox(leaf, torch.tensor(q, dtype=dtype).item())
        assert torch.equal(value, alone)
        assert torch.equal(slope, torch.autograd.grad(alone.sum(), leaf)[0])


@pytest.mark.parametrize("q", [*QS, torch.tensor(QS)[:, None]], ids=str)
def test_the_slope_alone_is_the_derivative(q):
    cross_entropy = torch.tensor([*CROSS_ENTROPIES, math.inf]).expand(len(QS), -1).clone().requires_grad_()
    (derivative,) = torch.autograd.grad(box_cox(cross_entropy, q).sum(), cross_entropy)
    assert_close(box_cox_slope(cross_entropy.detach(), q), derivative, rtol=2**-22, atol=0)  # / q * q: two roundings
