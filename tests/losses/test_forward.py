from itertools import product

import mpmath
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close

from labelnoise.losses import ForwardLoss, cce_loss, forward_loss

K = 5
GAPS = range(-104, 16)
EYE = torch.eye(K, dtype=torch.float64)
RANDOM = torch.randn(K, K, generator=torch.Generator().manual_seed(1), dtype=torch.float64).softmax(1)
MATRICES = {
    "uniform": 0.6 * EYE + 0.4 / K,
    "pair": 0.7 * EYE + 0.3 * EYE.roll(1, dims=1),
    "map": EYE.index_copy(0, torch.tensor([2]), torch.tensor([[0.0, 0.0, 0.25, 0.0, 0.75]]).double()),
    "random": 0.5 * EYE + 0.5 * RANDOM,
    "permutation": EYE.roll(2, dims=1),
}


def gradient(loss, logits: Tensor, labels: Tensor, *args) -> Tensor:
    logits = logits.clone().requires_grad_()
    return torch.autograd.grad(loss(logits, labels, *args, reduction="sum"), logits)[0]


def rows_by_gap() -> tuple[Tensor, Tensor]:
    """For every gap three rows, whose label's logit lies that far above the largest other one."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3 * len(GAPS), K, generator=generator)
    labels = torch.randint(K, (len(logits),), generator=generator)
    others = logits.scatter(1, labels[:, None], -torch.inf).amax(1)
    gaps = torch.tensor(GAPS).repeat_interleave(3)
    return logits.scatter(1, labels[:, None], (others + gaps)[:, None]), labels


def exact(logits: Tensor, labels: Tensor, transition: Tensor) -> tuple[Tensor, Tensor]:
    """-log s with s = sum_i p_i T_iy, and its gradient p_j - p_j T_jy / s, to 50 digits and then rounded."""
    values, gradients = [], []
    for row, y in zip(logits.tolist(), labels.tolist(), strict=True):
        powers = [mpmath.exp(z) for z in row]
        p = [power / mpmath.fsum(powers) for power in powers]
        column = transition[:, y].tolist()
        s = mpmath.fsum(p_i * t for p_i, t in zip(p, column, strict=True))
        values.append(float(-mpmath.log(s)))
        gradients.append([float(p_j - p_j * t / s) for p_j, t in zip(p, column, strict=True)])
    return torch.tensor(values, dtype=torch.float64), torch.tensor(gradients, dtype=torch.float64)


@mpmath.workdps(50)
@pytest.mark.parametrize("name", MATRICES)
def test_value_and_gradient_are_exact(name):
    transition = MATRICES[name]
    logits, labels = rows_by_gap()
    values, gradients = exact(logits, labels, transition)
    # float32: log p and its sum with log T are off by 2^-24 of up to 120 each, 1.4e-5 in all. As a value that is
    # 1e-6 relative and, near 0, 2 ulp of 1 for each of the K terms; as an exponent it is relative in the gradient,
    # against the terms p_j and p_j T_jy / s it is the difference of, both at most 1.
    got = forward_loss(logits, labels, transition, reduction="none").double()
    assert_close(got, values, rtol=1e-6, atol=2**-22 + K * 2**-23)
    assert_close(gradient(forward_loss, logits, labels, transition).double(), gradients, rtol=3e-5, atol=3e-5)
    # The same in float64, 2^-29 of it.
    got = forward_loss(logits.double(), labels, transition, reduction="none")
    assert_close(got, values, rtol=1e-14, atol=1e-15)
    assert_close(gradient(forward_loss, logits.double(), labels, transition), gradients, rtol=1e-13, atol=1e-13)


@mpmath.workdps(50)
def test_identity_keeps_the_error_budget_of_cross_entropy():
    """DESIGN.md: within 2x the error of F.cross_entropy + 1e-4, relative to the row's norm where that exceeds 1e-35."""
    logits, labels = rows_by_gap()
    _, wanted = exact(logits, labels, torch.eye(K))
    norms = wanted.norm(dim=1)
    assert (norms > 1e-35).all()
    ours, base = (
        (gradient(loss, logits, labels, *args).double() - wanted).norm(dim=1) / norms
        for loss, args in ((forward_loss, (torch.eye(K),)), (F.cross_entropy, ()))
    )
    assert (ours <= 2 * base + 1e-4).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_identity_is_cross_entropy(dtype):
    logits, labels = rows_by_gap()
    logits = logits.to(dtype)
    eps = torch.finfo(torch.float64 if dtype is torch.float64 else torch.float32).eps
    args = (logits, labels, torch.eye(K))
    # the log probabilities are normalised once more: K terms, each off by eps
    wanted = cce_loss(logits, labels, reduction="none")
    assert_close(forward_loss(*args, reduction="none"), wanted, rtol=2 * eps, atol=2 * K * eps)
    # bfloat16 gradients are float32 ones rounded at the end: half an ulp, 2^-9, may tip to either side
    tip = 2**-8 if dtype is torch.bfloat16 else 128 * eps
    assert_close(gradient(forward_loss, *args), gradient(cce_loss, logits, labels), rtol=tip, atol=128 * eps)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("name", MATRICES)
def test_never_nan_or_infinite(name, dtype):
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(64) % K
    one_hot = F.one_hot(labels, K).float()
    for scale, target, way in product(
        [1e-3, 1.0, 30.0, 100.0, 1e3, 1e4], [labels, one_hot], ["random", "right", "wrong"]
    ):
        ways = {"random": 2 * torch.rand(64, K, generator=generator) - 1, "right": one_hot, "wrong": -one_hot}
        logits = (scale * ways[way]).to(dtype).requires_grad_()
        values = forward_loss(logits, target, MATRICES[name], reduction="none")
        assert values.isfinite().all(), (scale, way)
        assert torch.autograd.grad(values.sum(), logits)[0].isfinite().all(), (scale, way)


def test_badly_fitted_labels_keep_their_gradient():
    """A softmax times T underflows here, and a clamp would leave nothing to learn from."""
    logits, transition = torch.tensor([[200.0, 0.0, 0.0]]), torch.eye(3)
    got = gradient(forward_loss, logits, torch.tensor([1]), transition)
    assert_close(got, torch.tensor([[1.0, -1.0, 0.0]]), rtol=1e-4, atol=0)


def test_a_class_that_no_label_names():
    """Every 2 is called 0: rows with other labels train as ever, a label of 2 is hopeless but not NaN."""
    transition = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    logits = torch.tensor([[0.5, 1.0, -1.0]] * 2)
    p = logits[0].softmax(0)
    values = forward_loss(logits, torch.tensor([0, 2]), transition, reduction="none")
    assert_close(values[0], -(p[0] + p[2]).log(), rtol=1e-6, atol=1e-7)  # float32
    assert values[1] == torch.tensor(1e30)
    got = gradient(forward_loss, logits, torch.tensor([0, 2]), transition)
    assert_close(got[0], p - p * transition[:, 0] / (p[0] + p[2]), rtol=1e-5, atol=1e-7)
    assert got.isfinite().all()


def test_logit_of_minus_infinity():
    ruled_out = torch.tensor([[-torch.inf, 1.0, 2.0]])
    for label, transition in product(
        [0, 1, 2], [torch.eye(3), 0.7 * torch.eye(3) + 0.3 * torch.eye(3).roll(1, dims=1)]
    ):
        assert gradient(forward_loss, ruled_out, torch.tensor([label]), transition).isfinite().all()


def noisy_posterior_and_start(transition: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """p(y | x) of seven inputs, what their given labels are distributed like, and where a search may begin."""
    generator = torch.Generator().manual_seed(3)
    clean = torch.randn(7, K, generator=generator, dtype=torch.float64).softmax(1)
    return clean, clean @ transition, torch.randn(7, K, generator=generator, dtype=torch.float64)


def minimise(loss, start: Tensor, *args) -> Tensor:
    logits = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [logits], max_iter=2000, tolerance_grad=1e-12, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure():
        optimizer.zero_grad()
        value = loss(logits, *args, reduction="sum")
        value.backward()
        return value

    optimizer.step(closure)
    return logits.detach().softmax(1)


@pytest.mark.parametrize("name", MATRICES)
def test_theorem_2_the_minimiser_on_noisy_labels_is_the_clean_posterior(name):
    """In expectation a label is soft: its distribution. Cross entropy ends at the noisy posterior instead."""
    transition = MATRICES[name]
    clean, noisy, start = noisy_posterior_and_start(transition)
    found = minimise(forward_loss, start, noisy, transition)
    # The risk is flat to second order: its float64 rounding, 1e-15 of about 10 nats, hides a distance of 1e-7, times
    # what inverting T multiplies it with.
    assert_close(found, clean, rtol=0, atol=1e-7 * torch.linalg.cond(transition).item())
    assert_close(minimise(cce_loss, start, noisy), noisy, rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", MATRICES)
def test_theorem_2_the_gradient_vanishes_at_the_clean_posterior(name):
    transition = MATRICES[name]
    clean, noisy, _ = noisy_posterior_and_start(transition)
    got = gradient(forward_loss, clean.log(), noisy, transition)
    # sums of K float64 terms of size 1
    assert_close(got, torch.zeros_like(got), rtol=0, atol=4 * K * 2**-53)


def test_risk_on_drawn_labels_is_lowest_at_the_clean_posterior():
    """With labels really drawn: no shift of the clean log posterior by half a nat does better."""
    generator = torch.Generator().manual_seed(0)
    transition = MATRICES["pair"]
    clean = torch.tensor([0.4, 0.3, 0.1, 0.1, 0.1], dtype=torch.float64)
    labels = torch.multinomial(clean @ transition, 100_000, replacement=True, generator=generator)
    counts = labels.bincount(minlength=K).double()[None] / len(labels)
    best = forward_loss(clean.log()[None], counts, transition)
    for j, shift in product(range(K), [-0.5, 0.5]):
        moved = clean.log().index_add(0, torch.tensor([j]), torch.tensor([shift], dtype=torch.float64))
        assert forward_loss(moved[None], counts, transition) > best


def test_a_half_precision_matrix_and_one_in_float64_are_taken():
    logits, labels = rows_by_gap()
    single = forward_loss(logits, labels, MATRICES["uniform"].float())
    assert torch.equal(forward_loss(logits, labels, MATRICES["uniform"]), single)
    # entries rounded to 2^-9 move a log by as much
    half = forward_loss(logits, labels, MATRICES["uniform"].bfloat16())
    assert_close(half, single, rtol=0, atol=2**-8)


def test_a_learned_matrix_has_an_exact_gradient_where_it_is_not_zero():
    transition = torch.tensor([[0.6, 0.4, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    logits, labels = torch.randn(7, 3, generator=torch.Generator().manual_seed(0)).double(), torch.arange(7) % 3
    learned = transition.clone().requires_grad_()
    forward_loss(logits, labels, learned, reduction="sum").backward()
    plain = transition.clone().requires_grad_()
    given = logits.softmax(1) @ plain
    (given / given.sum(1, keepdim=True)).log().gather(1, labels[:, None]).sum().neg().backward()
    assert_close(learned.grad, plain.grad * (transition > 0))


def test_module_keeps_its_matrix():
    module = ForwardLoss(MATRICES["pair"].float())
    assert module.double().transition.dtype == torch.float64
    other = ForwardLoss(torch.eye(K))
    other.load_state_dict(module.state_dict())
    assert torch.equal(other.transition, MATRICES["pair"].float())
    assert not list(module.parameters())


@pytest.mark.parametrize(
    ("transition", "message"),
    [
        ([[1.0]], r"a floating point tensor of shape \(k, k\), got list"),
        (torch.eye(3, dtype=torch.int64), r"a floating point tensor of shape \(k, k\), got torch.int64"),
        (torch.ones(3), r"of shape \(k, k\), got \(3,\)"),
        (torch.tensor(1.0), r"of shape \(k, k\), got \(\)"),
        (torch.ones(3, 2) / 2, r"of shape \(k, k\), got \(3, 2\)"),
        (torch.eye(3)[None], r"of shape \(k, k\), got \(1, 3, 3\)"),
        (torch.ones(0, 0), r"of shape \(k, k\), got \(0, 0\)"),
        (torch.tensor([[1.5, -0.5], [0.0, 1.0]]), r"hold probabilities, got -0\.5"),
        (torch.tensor([[float("nan"), 1.0], [0.0, 1.0]]), "hold probabilities, got nan"),
        (torch.tensor([[0.5, 0.25], [0.0, 1.0]]), r"rows that sum to 1, got a row that sums to 0\.75"),
        (torch.tensor([[float("inf"), 0.0], [0.0, 1.0]]), "rows that sum to 1, got a row that sums to inf"),
        (torch.tensor([[0.7, 0.5], [0.3, 0.5]]), r"rows that sum to 1, got a row that sums to "),  # columns do
    ],
)
@pytest.mark.usefixtures("without_shape_checks")
def test_bad_matrix_is_refused(transition, message):
    with pytest.raises(ValueError, match=f"^transition must (be |have |){message}"):
        ForwardLoss(transition)


@pytest.mark.parametrize(
    "transition", [torch.eye(4), torch.eye(1), torch.ones(3), torch.ones(3, 1), torch.eye(3).long()]
)
@pytest.mark.usefixtures("without_shape_checks")
def test_matrix_that_does_not_fit_the_logits_is_refused(transition):
    for shape in [(3,), (2, 3), (2, 3, 4)]:
        labels = torch.zeros(shape[:1] * (len(shape) > 1) + shape[2:], dtype=torch.int64)
        with pytest.raises(ValueError, match=r"^transition must be .* shape \(3, 3\), got"):
            forward_loss(torch.zeros(shape), labels, transition)
    if transition.shape == (4, 4):
        with pytest.raises(ValueError, match=r"^transition must be of shape \(3, 3\), got \(4, 4\)"):
            ForwardLoss(transition)(torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64))
