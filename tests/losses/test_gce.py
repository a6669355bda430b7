from itertools import pairwise, product

import mpmath
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close

from labelnoise.losses import GCELoss, cce_loss, gce_loss

pytestmark = pytest.mark.usefixtures("path")

QS = [0.0, 1e-8, 1e-4, 0.1, 0.5, 0.7, 1.0, 2.0]
K = 6
GAPS = range(-104, 16)


def gradient(loss, logits: Tensor, labels: Tensor, **options) -> Tensor:
    logits = logits.clone().requires_grad_()
    return torch.autograd.grad(loss(logits, labels, reduction="sum", **options), logits)[0]


def rows_by_gap() -> tuple[Tensor, Tensor]:
    """For every gap three rows, whose label's logit lies that far above the largest other one."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3 * len(GAPS), K, generator=generator)
    labels = torch.randint(K, (len(logits),), generator=generator)
    others = logits.scatter(1, labels[:, None], -torch.inf).amax(1)
    gaps = torch.tensor(GAPS).repeat_interleave(3)
    return logits.scatter(1, labels[:, None], (others + gaps)[:, None]), labels


def exact_softmax(logits: Tensor) -> list[list[mpmath.mpf]]:
    rows = [[mpmath.exp(z) for z in row] for row in logits.tolist()]
    return [[value / mpmath.fsum(row) for value in row] for row in rows]


@mpmath.workdps(50)
def test_gradient_is_as_exact_as_the_one_of_cross_entropy():
    """The error budget of DESIGN.md, against p_y^q (p - onehot) to 50 digits."""
    logits, labels = rows_by_gap()
    probabilities = exact_softmax(logits)

    def errors(got: Tensor, q: float) -> tuple[list[float], list[float]]:
        """Norm of every exact row, and the relative error of the row got."""
        norms, relative = [], []
        for row, y, p in zip(got.tolist(), labels.tolist(), probabilities, strict=True):
            exact = [p[y] ** q * (p[j] - (j == y)) for j in range(K)]
            norms.append(mpmath.norm(exact))
            relative.append(float(mpmath.norm([a - b for a, b in zip(row, exact, strict=True)]) / norms[-1]))
        return norms, relative

    _, of_cross_entropy = errors(gradient(F.cross_entropy, logits, labels), 0)
    for q in QS:
        got = gradient(gce_loss, logits, labels, q=q)
        assert got.isfinite().all()
        rows = list(zip(*errors(got, q), of_cross_entropy, strict=True))
        assert sum(norm > 1e-35 for norm, _, _ in rows) > 150
        for norm, error, base in rows:
            assert norm <= 1e-35 or error <= 2 * base + 1e-4, (q, norm, error, base)


@mpmath.workdps(50)
@pytest.mark.parametrize("q", QS)
def test_value_is_exact(q):
    logits, labels = rows_by_gap()
    p_y = [p[y] for p, y in zip(exact_softmax(logits), labels.tolist(), strict=True)]
    exact = torch.tensor([float((1 - p**q) / q if q else -mpmath.log(p)) for p in p_y], dtype=torch.float64)
    got = gce_loss(logits, labels, q, reduction="none").double()
    # the cross entropy has a float32 error of up to eps times the logits (109), absolute where p_y is near 1;
    # Lq, of slope p_y^q <= 1, passes it on: 1e-6 relative, 2 ulp of 1 absolute
    assert_close(got, exact, rtol=1e-6, atol=2**-22)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("q", QS)
def test_never_nan_or_infinite(q, dtype):
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(64) % K
    for scale, soft in product([1e-3, 1.0, 30.0, 100.0, 1e3, 1e4], [False, True]):
        logits = (scale * (2 * torch.rand(64, K, generator=generator) - 1)).to(dtype).requires_grad_()
        values = gce_loss(logits, F.one_hot(labels, K).float() if soft else labels, q, reduction="none")
        assert values.isfinite().all(), scale
        assert torch.autograd.grad(values.sum(), logits)[0].isfinite().all(), scale


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("q", QS)
def test_logit_of_minus_infinity(q, dtype):
    """A class ruled out beforehand: as the label it is hopeless and has no pull, as another it is not there."""
    ruled_out = torch.tensor([[-torch.inf, 1.0, 2.0], [1.0, -torch.inf, 2.0]], dtype=dtype, requires_grad=True)
    values = gce_loss(ruled_out, torch.tensor([0, 0]), q, reduction="none")
    (got,) = torch.autograd.grad(values.sum(), ruled_out)
    assert values[0] == 1 / torch.tensor(q)
    assert got.isfinite().all()
    if q > 0:
        assert not got[0].any()
    # of two equal computations only the class that is not there differs; float32 may sum in another order
    without = torch.tensor([[1.0, 2.0]], dtype=dtype, requires_grad=True)
    assert_close(values[1:], gce_loss(without, torch.tensor([0]), q, reduction="none"), rtol=1e-6, atol=0)
    assert_close(got[1:, [0, 2]], gradient(gce_loss, without, torch.tensor([0]), q=q))


def test_q_one_is_the_probability_of_all_other_labels():
    logits, labels = rows_by_gap()
    logits = logits.double().requires_grad_()
    p_y = logits.softmax(1).gather(1, labels[:, None]).squeeze(1)
    got = gce_loss(logits, labels, q=1.0, reduction="none")
    # float64: |z| eps is 109 * 1.1e-16
    assert_close(got, 1 - p_y, rtol=0, atol=1e-13)
    of_got, of_p = (torch.autograd.grad(value.sum(), logits)[0] for value in (got, 1 - p_y))
    assert_close(of_got, of_p, rtol=1e-12, atol=1e-15)


def test_bounds_and_order_in_q():
    """0 <= Lq <= 1/q, and a larger q is a smaller loss: L_q is the integral of t^(q-1) from p to 1."""
    logits, labels = rows_by_gap()
    values = [gce_loss(logits.double(), labels, q, reduction="none") for q in QS]
    for q, value in zip(QS, values, strict=True):
        assert value.min() >= 0
        assert value.max() * q <= 1
    for smaller_q, larger_q in pairwise(values):
        assert (larger_q < smaller_q).all()


def test_tends_to_cross_entropy_as_q_falls():
    """The gap ce - Lq is q ce^2 / 2 - .. (series of expm1): positive, at most q ce^2 / 2."""
    logits, labels = rows_by_gap()
    cross_entropy = cce_loss(logits.double(), labels, reduction="none")
    for q in (1e-1, 1e-2, 1e-4, 1e-6):
        short = cross_entropy - gce_loss(logits.double(), labels, q, reduction="none")
        rounding = 1e-15 * cross_entropy + 1e-16
        assert (short >= -rounding).all()
        assert (short <= q * cross_entropy**2 / 2 + rounding).all()


@pytest.mark.parametrize("q", [0.1, 0.5, 0.7, 1.0, 2.0])
def test_strongest_pull_is_where_p_is_q_over_one_plus_q(q):
    p = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
    logits = torch.stack([p.log(), (-p).log1p() - 0.5, (-p).log1p() + 0.3], dim=1)
    p = logits.softmax(1)[:, 0]
    l1_norm = gradient(gce_loss, logits, torch.zeros(999, dtype=torch.int64), q=q).abs().sum(1)
    assert_close(l1_norm, 2 * p**q * (1 - p), rtol=1e-12, atol=0)  # float64, 1 - p down to 1e-3
    assert p[l1_norm.argmax()] == pytest.approx(q / (1 + q), abs=2e-3)  # the grid's step


def test_no_row_without_gradient_in_bfloat16():
    """Many classes at random: p_y^q is about 1e-3, where expm1's own backward rounds to 0 (SPEED.md: 232 of 256)."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(256, 8000, generator=generator).bfloat16()
    labels = torch.randint(8000, (256,), generator=generator)
    assert gradient(gce_loss, logits, labels).any(dim=1).all()


def test_default_is_the_papers():
    assert GCELoss().q == 0.7
    logits, labels = rows_by_gap()
    assert torch.equal(gce_loss(logits, labels), gce_loss(logits, labels, q=0.7))


@pytest.mark.parametrize("q", [-1.0, -1e-9, float("nan"), float("inf")])
def test_bad_q_is_refused(q):
    message = f"q must be a finite number >= 0, got {q}"
    with pytest.raises(ValueError, match=message):
        gce_loss(torch.zeros(1, 2), torch.tensor([0]), q)
    with pytest.raises(ValueError, match=message):
        GCELoss(q)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # torch's own, in its jvp
@pytest.mark.parametrize("q", [0.0, 0.7, 1.0, 2.0])
def test_forward_mode_equals_reverse_mode(q):
    generator = torch.Generator().manual_seed(0)
    logits, direction = torch.randn(2, 6, 4, generator=generator, dtype=torch.float64)
    labels = torch.randint(4, (6,), generator=generator)
    _, forward = torch.func.jvp(lambda z: gce_loss(z, labels, q), (logits,), (direction,))
    reverse = (torch.func.grad(lambda z: gce_loss(z, labels, q))(logits) * direction).sum()
    # Two float64 sums of 24 terms of size 0.1: 24 * 0.1 * 2^-52.
    assert forward.item() == pytest.approx(reverse.item(), rel=0, abs=1e-15)


@pytest.mark.parametrize("shape", [(6, 4), (3, 4, 2), (2, 4, 3, 2)], ids=str)
@pytest.mark.parametrize("kind", ["hard", "smooth", "soft"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_one_q_a_sample(shape, kind, dtype):
    """Every label gets what it would get alone, with its own q, and all of them the mean."""
    generator = torch.Generator().manual_seed(0)
    logits = (3 * torch.randn(shape, generator=generator)).to(dtype)
    q = torch.tensor([0.0, 0.1, 0.7, 1.0, 2.0, 1e-8]).repeat(2)[: logits.numel() // 4].view(shape[:1] + shape[2:])
    labels = torch.randn(shape, generator=generator).softmax(1)
    labels = labels if kind == "soft" else labels.argmax(1)
    smoothing = 0.1 if kind == "smooth" else 0.0
    leaf = logits.clone().requires_grad_()
    values = gce_loss(leaf, labels, q, label_smoothing=smoothing, reduction="none")
    (of_logits,) = torch.autograd.grad(values.sum(), leaf)
    assert_close(gce_loss(logits, labels, q, label_smoothing=smoothing), values.mean())
    places = [(n, slice(None), *dense) for n, *dense in product(*map(range, q.shape))]
    for place in places:
        row = logits[place].clone().requires_grad_()
        position = place[:1] + place[2:]
        label = labels[place] if kind == "soft" else labels[position]
        alone = gce_loss(row, label, q[position].item(), label_smoothing=smoothing, reduction="none")
        # float32 sums over a few classes in another order; in bfloat16, one gradient is rounded once, one twice
        assert_close(values[position], alone, rtol=2e-6, atol=1e-7)
        rounding = {"rtol": 3 * 2**-8, "atol": 1e-6} if dtype is torch.bfloat16 else {"rtol": 2e-6, "atol": 1e-6}
        assert_close(of_logits[place], torch.autograd.grad(alone, row)[0], **rounding)


def test_one_q_for_all_in_a_tensor():
    logits, labels = rows_by_gap()
    for q in QS:
        assert torch.equal(gce_loss(logits, labels, torch.tensor(q)), gce_loss(logits, labels, q))
    of_models = torch.tensor([0.0, 0.4, 0.7])
    stacked = torch.func.vmap(gce_loss, in_dims=(None, None, 0))(logits, labels, of_models)
    assert_close(stacked, torch.stack([gce_loss(logits, labels, q) for q in of_models.tolist()]))


def test_q_of_a_module_moves_with_it():
    q = torch.tensor([0.0, 0.7, 1.0])
    module = GCELoss(q, reduction="none").double()
    assert module.q.dtype == torch.float64
    assert repr(module) == "GCELoss(ignore_index=-100, reduction='none', label_smoothing=0.0)"
    logits, labels = torch.eye(3), torch.tensor([0, 1, 1])
    assert torch.equal(module(logits, labels), gce_loss(logits, labels, q, reduction="none"))
    other = GCELoss(torch.zeros(3))
    other.load_state_dict(module.state_dict())
    assert torch.equal(other.q, q)


@pytest.mark.parametrize(
    ("q", "message"),
    [
        (torch.ones(2), r"q must be floating point of shape \(3,\), got torch.float32 of shape \(2,\)"),
        (torch.ones(3, 1), r"q must be floating point of shape \(3,\), got torch.float32 of shape \(3, 1\)"),
        (torch.ones(3, 4), r"q must be floating point of shape \(3,\), got torch.float32 of shape \(3, 4\)"),
        (torch.ones(3).long(), "q must be a floating point tensor that needs no gradient, got torch.int64"),
        (torch.ones(3, requires_grad=True), r"q must be .* needs no gradient, got .* \(3,\), requires_grad=True"),
    ],
)
@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
@pytest.mark.usefixtures("without_shape_checks")
def test_bad_tensor_of_q_is_refused(q, message, soft):
    labels = torch.full((3, 4), 0.25) if soft else torch.tensor([0, 1, 2])
    with pytest.raises(ValueError, match=message):
        gce_loss(torch.zeros(3, 4), labels, q)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # torch's own, in its jvp
def test_no_derivative_by_q_is_made_up():
    logits, labels = rows_by_gap()
    for transform in (torch.func.grad, torch.func.jacfwd):
        with pytest.raises(ValueError, match=r"q must be .* needs no gradient"):
            transform(lambda q: gce_loss(logits, labels, q))(torch.tensor(0.7))
