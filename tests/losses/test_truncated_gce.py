import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from labelnoise.losses import TruncatedGCELoss, gce_loss, truncated_gce_loss

pytestmark = pytest.mark.usefixtures("path")

QS = [0.0, 1e-8, 0.1, 0.7, 1.0, 2.0]
KS = [0.05, 0.3, 0.5, 0.9]


def two_classes(probabilities: list[float]) -> tuple[Tensor, Tensor]:
    """float64 logits whose softmax gives label 0 these probabilities."""
    p = torch.tensor(probabilities, dtype=torch.float64)
    return torch.stack([p.log(), (-p).log1p()], dim=1).requires_grad_(), torch.zeros(len(p), dtype=torch.int64)


def value_and_gradient(loss, logits: Tensor, labels: Tensor, *settings: float) -> tuple[Tensor, Tensor]:
    values = loss(logits, labels, *settings, reduction="none")
    return values.detach(), torch.autograd.grad(values.sum(), logits)[0]


@pytest.mark.parametrize("q", QS)
@pytest.mark.parametrize("k", KS)
def test_constant_below_k_and_lq_above(q, k):
    constant = (1 - k**q) / q if q > 1e-6 else -math.log(k)  # q = 1e-8: (1 - k^q) / q = -log k (1 - 2e-8)
    values, gradient = value_and_gradient(truncated_gce_loss, *two_classes([1e-40, 1e-9, 0.5 * k, k - 1e-6]), q, k)
    assert_close(values, torch.full_like(values, constant), rtol=2e-8 if q == 1e-8 else 1e-14, atol=0)
    assert torch.equal(gradient, torch.zeros_like(gradient))
    above = two_classes([k + 1e-6, 0.5 + 0.5 * k, 1 - 1e-9])
    for got, wanted in zip(
        value_and_gradient(truncated_gce_loss, *above, q, k), value_and_gradient(gce_loss, *above, q), strict=True
    ):
        assert torch.equal(got, wanted)
        assert got.any()


@pytest.mark.parametrize("num_classes", [2, 4, 8, 16])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("q", QS)
def test_at_k_itself_the_gradient_is_zero(num_classes, dtype, q):
    """Equal logits give p_y = k = 1 / num_classes, and a power of two keeps it exact."""
    logits = torch.full((1, num_classes), 3.0, dtype=dtype, requires_grad=True)
    k, label = 1 / num_classes, torch.tensor([1])
    value, gradient = value_and_gradient(truncated_gce_loss, logits, label, q, k)
    assert torch.equal(gradient, torch.zeros_like(gradient))
    # it is also where both pieces meet: 4 ulp of float32
    assert_close(value, gce_loss(logits, label, q, reduction="none").detach(), rtol=4 * 2**-24, atol=0)


def test_constant_of_the_paper():
    values, _ = value_and_gradient(truncated_gce_loss, *two_classes([0.1, 0.3, 0.499]))
    assert_close(values, torch.full_like(values, 0.5492), rtol=0, atol=5e-5)  # four printed digits


@pytest.mark.parametrize("q", QS)
def test_small_k_gives_lq(q):
    """Bitwise, as soon as k is below every p_y."""
    batch = two_classes([1e-8, 0.01, 0.5, 0.99])
    for got, wanted in zip(
        value_and_gradient(truncated_gce_loss, *batch, q, 1e-9), value_and_gradient(gce_loss, *batch, q), strict=True
    ):
        assert torch.equal(got, wanted)


@pytest.mark.parametrize("q", QS)
@pytest.mark.parametrize("target", [-torch.inf, torch.inf, -1e4, 1e4])
def test_extreme_logits(q, target):
    """Finite even at q = 0, where Lq is infinite: truncation bounds it."""
    other = 0.0 if target < torch.inf else -torch.inf
    logits = torch.tensor([[min(target, 1e4), other, other]], requires_grad=True)
    value, gradient = value_and_gradient(truncated_gce_loss, logits, torch.tensor([0]), q, 0.5)
    # float32 of a float64 constant
    assert value.item() == (0 if target > 0 else pytest.approx(gce_loss(*two_classes([0.5]), q).item(), rel=1e-7))
    assert torch.equal(gradient, torch.zeros_like(gradient))


def test_classes_of_a_soft_label_are_truncated_by_themselves():
    (logits, _), soft = two_classes([0.8, 0.3]), torch.tensor([[0.6, 0.4], [0.5, 0.5]], dtype=torch.float64)
    each = [value_and_gradient(truncated_gce_loss, logits, torch.full((2,), j)) for j in (0, 1)]
    got = value_and_gradient(truncated_gce_loss, logits, soft)
    assert_close(got[0], soft[:, 0] * each[0][0] + soft[:, 1] * each[1][0])
    assert_close(got[1], soft[:, :1] * each[0][1] + soft[:, 1:] * each[1][1])


def test_defaults_are_the_papers():
    loss = TruncatedGCELoss()
    assert (loss.q, loss.k) == (0.7, 0.5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"k": k}, rf"k must be within \(0, 1\), got {k}") for k in (0.0, 1.0, -1.0, 1.5, float("nan"))]
    + [({"q": q}, f"q must be a finite number >= 0, got {q}") for q in (-1.0, float("nan"), float("inf"))]
    + [
        ({"q": torch.ones(1) / 2}, "q must be a number here, got a tensor"),
        ({"k": torch.ones(1) / 2}, r"k must be within \(0, 1\), got tensor"),
    ],
)
@pytest.mark.usefixtures("without_shape_checks")
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        truncated_gce_loss(torch.zeros(1, 2), torch.tensor([0]), **settings)
    with pytest.raises(ValueError, match=message):
        TruncatedGCELoss(**settings)
