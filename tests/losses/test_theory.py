"""Every bound is searched for counterexamples with the losses themselves, and met where theory says it is reached.

``slack`` is the error budget of a sum of c losses in float64: a cross entropy of at most 2 |z|max + log c is off by
that many eps, L_q never magnifies the error (its derivative p^q is at most 1), and the closed form adds a few eps of
its own to values of that size. The finite problems further down sum at most 9 products of values up to 1/q.
"""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labelnoise.losses import CCELoss, GCELoss, MAELoss, TruncatedGCELoss
from labelnoise.losses.theory import (
    class_dependent_excess_risk,
    gce_sum_bounds,
    is_symmetric,
    noisy_risk_identity,
    sum_over_labels,
    truncated_gce_sum_bounds,
    truncation_tightens,
    uniform_noise_excess_risk,
)

EPS = torch.finfo(torch.float64).eps
FAR = 1e6  # a logit this much larger makes every other probability 0, also to the power 1e-3
CLASSES = (2, 3, 10, 100)
QS = (0.0, 0.1, 0.7, 1.0, 1.5)
KS = (0.02, 0.1, 0.5)


def gce(q):
    return GCELoss(q, reduction="none")


def truncated(q, k):
    return TruncatedGCELoss(q, k, reduction="none")


def dirichlet_like(num_classes, seed, n=20):
    """Logits of Dirichlet(1) draws, flattened and sharpened: from nearly uniform to nearly one-hot."""
    generator = torch.Generator().manual_seed(seed)
    draws = torch.rand(4, n, num_classes, generator=generator, dtype=torch.float64).clamp_min(1e-9)
    scales = torch.tensor([0.1, 1.0, 5.0, 20.0], dtype=torch.float64)
    return (scales[:, None, None] * (-draws.log()).log()).flatten(0, 1)


def shared_by(d, num_classes):
    """Logits of f = 1/d for the first d classes and 0 for the others."""
    logits = torch.full((1, num_classes), -FAR, dtype=torch.float64)
    logits[:, :d] = 0
    return logits


def slack(logits):
    return EPS * logits.shape[1] * (4 * logits.abs().max().item() + 32)


def assert_within(bounds, loss, logits):
    sums = sum_over_labels(loss, logits)
    assert sums.min() >= bounds.low - slack(logits)
    assert sums.max() <= bounds.high + slack(logits)


def at(loss, logits):
    return sum_over_labels(loss, logits).item()


def close(expected, num_classes):
    # c values, each right to a few eps of itself, summed one after the other
    return pytest.approx(expected, rel=(num_classes + 16) * EPS)


# --- sums over labels and symmetry


def test_sum_over_labels_adds_the_loss_of_every_label():
    logits = dirichlet_like(5, seed=0, n=3)
    p = logits.softmax(dim=1)
    expected = ((1 - p**0.7) / 0.7).sum(dim=1)
    torch.testing.assert_close(sum_over_labels(gce(0.7), logits), expected, rtol=0, atol=slack(logits))


@pytest.mark.parametrize("num_classes", CLASSES)
def test_mae_and_the_end_q_1_are_symmetric(num_classes):
    assert is_symmetric(MAELoss(reduction="none"), num_classes)
    assert is_symmetric(gce(1.0), num_classes)
    assert is_symmetric(lambda f, j: (f.argmax(dim=1) != j).double(), num_classes)  # the zero-one loss


@pytest.mark.parametrize("num_classes", CLASSES)
@pytest.mark.parametrize(
    "loss", [CCELoss(reduction="none"), gce(0.3), gce(0.7), gce(0.999), gce(2.0), truncated(0.7, 0.5)]
)
def test_no_other_member_of_the_family_is_symmetric(loss, num_classes):
    assert not is_symmetric(loss, num_classes)


def test_symmetry_survives_values_that_cancel_and_fails_for_ones_that_overflow():
    assert is_symmetric(lambda f, j: 1 / 10 - f.softmax(1).gather(1, j[:, None])[:, 0], 10)  # the sum is 0
    assert not is_symmetric(lambda f, j: -f.float().softmax(1).gather(1, j[:, None])[:, 0].log(), 10)


def test_the_search_repeats_with_its_seed():
    loss = gce(0.7)
    first, again, other = (noisy_risk_identity(loss, seed=seed).gap for seed in (3, 3, 4))
    assert first == again != other


@pytest.mark.parametrize("search", [is_symmetric, lambda loss, c: noisy_risk_identity(loss, num_classes=c)])
@pytest.mark.parametrize("loss", [GCELoss(), GCELoss(reduction="sum"), lambda f, j: f])
def test_a_loss_without_one_value_a_sample_is_refused(search, loss):
    with pytest.raises(ValueError, match=r'one value a sample.*reduction="none"'):
        search(loss, 10)


@pytest.mark.usefixtures("without_shape_checks")
def test_logits_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"logits must have shape \(n, k\)"):
        sum_over_labels(gce(0.7), torch.zeros(3))
    with pytest.raises(ValueError, match="at least one row"):
        sum_over_labels(gce(0.7), torch.zeros(0, 3))


# --- eq. 7


@pytest.mark.parametrize("num_classes", CLASSES)
@pytest.mark.parametrize("q", QS)
def test_gce_bounds_hold_and_are_reached(q, num_classes):
    bounds = gce_sum_bounds(q, num_classes)
    assert_within(bounds, gce(q), dirichlet_like(num_classes, seed=1))
    ends = at(gce(q), shared_by(num_classes, num_classes)), at(gce(q), shared_by(1, num_classes))
    if q > 0:  # cross entropy has no one-hot f
        assert tuple(bounds) == (close(min(ends), num_classes), close(max(ends), num_classes))
    assert q == 1 or (ends[0] < ends[1]) == (q < 1)


@settings(max_examples=50)
@given(q=st.floats(0, 4), num_classes=st.integers(2, 12), seed=st.integers(0, 2**32))
def test_gce_bounds_hold_for_any_q(q, num_classes, seed):
    assert_within(gce_sum_bounds(q, num_classes), gce(q), dirichlet_like(num_classes, seed, n=5))


def test_gce_bounds_at_their_two_limits():
    assert gce_sum_bounds(0.0, 10) == (close(10 * math.log(10), 10), math.inf)
    assert gce_sum_bounds(1e-9, 10).low == pytest.approx(10 * math.log(10), rel=2e-9)  # L_q = log c (1 - q log(c)/2 ..)
    assert gce_sum_bounds(1.0, 10) == (close(9, 10), close(9, 10))


# --- eq. 11


@pytest.mark.parametrize("num_classes", CLASSES)
@pytest.mark.parametrize("k", KS)
@pytest.mark.parametrize("q", QS)
def test_truncated_bounds_hold_and_the_high_end_is_reached(q, k, num_classes):
    bounds = truncated_gce_sum_bounds(q, k, num_classes)
    random = dirichlet_like(num_classes, seed=2)
    # For q <= 1 the smallest sum is reached by equal shares, so a search through their number is exhaustive.
    equal = [shared_by(d, num_classes) for d in range(1, num_classes + 1)]
    lopsided = torch.full((1, num_classes), k, dtype=torch.float64)
    lopsided[0, 0] = max(k, 1 - (num_classes - 1) * k)
    sums = sum_over_labels(truncated(q, k), torch.cat([random, *equal, lopsided.log()]))
    special = sums[len(random) :].tolist()
    assert sums[: len(random)].min() >= bounds.low - slack(random)
    assert sums[: len(random)].max() <= bounds.high + slack(random)
    assert min(special) >= bounds.low * (1 - (num_classes + 16) * EPS)
    assert q < 1 or min(special) == close(bounds.low, num_classes)
    assert max(special[-2:]) == close(bounds.high, num_classes)  # the uniform and the lopsided one


@settings(max_examples=50)
@given(q=st.floats(0, 4), k=st.floats(0.01, 0.99), num_classes=st.integers(2, 12), seed=st.integers(0, 2**32))
def test_truncated_bounds_hold_for_any_q_and_k(q, k, num_classes, seed):
    bounds = truncated_gce_sum_bounds(q, k, num_classes)
    assert_within(bounds, truncated(q, k), dirichlet_like(num_classes, seed, n=5))


@pytest.mark.parametrize("d", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("q", [0.2, 0.5, 0.7])
def test_truncated_low_end_is_reached_where_d_is_whole(q, d):
    k = (1 - q) ** (1 / q) / d
    assert truncated_gce_sum_bounds(q, k, 10).low == close(at(truncated(q, k), shared_by(d, 10)), 10)


@pytest.mark.parametrize("q", [1e-6, 1e-17, 1e-300])
def test_truncated_bounds_run_into_cross_entropy(q):
    # L_q and (1-q)^(1/q) differ from their limits by a relative q log(c) or so
    assert truncated_gce_sum_bounds(q, 0.05, 10) == pytest.approx(
        truncated_gce_sum_bounds(0.0, 0.05, 10), rel=10 * q + 64 * EPS
    )


@pytest.mark.parametrize("q", QS[1:])
def test_truncated_bounds_run_into_gce_as_k_vanishes(q):
    # k -> 0 changes each of 9 terms by at most k^q / q, k^q <= 1e-8 here, and one by about k
    assert truncated_gce_sum_bounds(q, 1e-80, 10) == pytest.approx(gce_sum_bounds(q, 10), abs=1e-7 / q)


# --- where truncation tightens, figures of the paper sheet (their last digit is the tolerance)


def test_published_gaps():
    assert gce_sum_bounds(0.7, 2).high == pytest.approx(1.4286, abs=5e-5)  # 1/q, the range of one loss
    low, high = truncated_gce_sum_bounds(0.7, 0.5, 10)
    assert high / 10 == pytest.approx(0.5492, abs=5e-5)  # L_q(k)
    assert high - low == pytest.approx(0.549, abs=5e-4)
    for num_classes, gap in ((10, 1.422), (100, 4.259)):
        low, high = gce_sum_bounds(0.7, num_classes)
        assert high - low == pytest.approx(gap, abs=5e-4)


@pytest.mark.parametrize(
    ("num_classes", "k", "last_q", "step"),
    [
        (10, 0.3, 0.79, 0.01),
        (10, 0.5, 0.84, 0.01),
        (100, 0.3, 0.89, 0.01),
        (100, 0.5, 0.916, 1e-3),
        (2, 0.5, 0.584, 1e-3),
    ],
)
def test_truncation_tightens_up_to_some_q_below_1_only(num_classes, k, last_q, step):
    assert all(truncation_tightens(q / 1000, k, num_classes) for q in range(round(last_q * 1000) + 1))
    first_failure = round((last_q + step) * 1000)
    assert not any(truncation_tightens(q / 1000, k, num_classes) for q in range(first_failure, 1001))


def test_truncation_tightens_again_where_q_is_well_above_1():
    # there the widths are (1 - k^q) / q and (1 - c^(1-q)) / q, and .5^1.4 < 10^-.4 but .5^1.5 > 10^-.5
    assert [truncation_tightens(q, 0.5, 10) for q in (1.4, 1.5)] == [False, True]


def test_truncation_of_few_classes_at_the_papers_q():
    assert not any(truncation_tightens(0.7, k, c) for c, k in ((2, 0.5), (3, 0.4), (4, 0.3), (5, 0.2)))
    assert all(truncation_tightens(0.7, k / 100, c) for c in range(6, 51) for k in range(20, 100, 4))
    assert all(truncation_tightens(0.7, k / 100, c) for c in range(10, 51) for k in range(10, 100, 4))


# --- theorems 1 and 2, on finite problems
#
# Three inputs x, labels from a random p(y|x), classifiers f that give each x a point of a grid on the simplex. The
# theorems hold for every set of classifiers, so an exhaustive minimum over a finite one needs no tolerance of its own.

GRIDS = {
    num_classes: torch.tensor([p for p in itertools.product(range(steps + 1), repeat=num_classes) if sum(p) == steps])
    / torch.tensor(steps, dtype=torch.float64)
    for num_classes, steps in ((2, 100), (3, 24))
}


def random_simplex(*shape, generator):
    draws = -torch.rand(*shape, generator=generator, dtype=torch.float64).clamp_min(1e-9).log()
    return draws / draws.sum(dim=-1, keepdim=True)


def uniform_transition(num_classes, rate):
    transition = torch.full((num_classes, num_classes), rate / (num_classes - 1), dtype=torch.float64)
    return transition.fill_diagonal_(1 - rate)


def risks(grid, q, p_xy):
    """What each grid point, taken at each x, adds to the risk sum_xy p(x, y) L_q(f_y(x))."""
    return p_xy @ ((1 - grid**q) / q).T


def sets_of_classifiers(clean, noisy, generator):
    """The two minimisers over the whole grid at each x, then random sets of two and of twenty."""
    yield torch.stack([clean.argmin(dim=1), noisy.argmin(dim=1)])
    for size in (2, 2, 2, 20):
        yield torch.randint(clean.shape[1], (size, clean.shape[0]), generator=generator)


def excess(clean, noisy, classifiers):
    """R^eta(f*) - R^eta(fh) and R(f*) - R(fh) within these ``classifiers``, rows of one grid point for each x."""
    inputs = torch.arange(len(clean))
    clean, noisy = clean[inputs, classifiers].sum(dim=1), noisy[inputs, classifiers].sum(dim=1)
    best, best_noisy = clean.argmin(), noisy.argmin()
    return (noisy[best] - noisy[best_noisy]).item(), (clean[best] - clean[best_noisy]).item()


@pytest.mark.parametrize("num_classes", GRIDS)
@pytest.mark.parametrize("q", [0.2, 0.7, 1.0, 2.0])
def test_theorem_1_on_random_problems(q, num_classes):
    generator = torch.Generator().manual_seed(7)
    rounding = 64 * EPS / q
    for trial in range(60):
        rate = (0.05 + 0.9 * trial / 60) * (1 - 1 / num_classes)
        p_xy = random_simplex(3 * num_classes, generator=generator).view(3, num_classes)
        clean = risks(GRIDS[num_classes], q, p_xy)
        noisy = risks(GRIDS[num_classes], q, p_xy @ uniform_transition(num_classes, rate))
        bound = uniform_noise_excess_risk(q, rate, num_classes)
        # the clean risk is the noisy one divided by 1 - rate c/(c-1), and so is its rounding
        clean_rounding = rounding / (1 - rate * num_classes / (num_classes - 1))
        for classifiers in sets_of_classifiers(clean, noisy, generator):
            noisy_excess, clean_excess = excess(clean, noisy, classifiers)
            assert 0 <= noisy_excess <= bound.noisy_upper + rounding
            assert bound.clean_lower - clean_rounding <= clean_excess <= 0


@pytest.mark.parametrize(("q", "rate", "num_classes"), [(0.7, 0.4, 10), (0.3, 0.2, 3), (0.9, 0.4, 2), (0.5, 0.7, 100)])
def test_theorem_1_is_reached_by_uniform_against_one_hot_predictions(q, rate, num_classes):
    # One x. Its one-hot class is right with probability p; p is chosen so that the clean (A) or noisy (A') risks tie.
    bound = uniform_noise_excess_risk(q, rate, num_classes)
    pair = torch.tensor([[1 / num_classes] * num_classes, [1.0] + [0.0] * (num_classes - 1)], dtype=torch.float64)
    tie_of_clean = num_classes**-q
    for p, clean_or_noisy in ((tie_of_clean, 0), (tie_of_clean - q * bound.clean_lower, 1)):
        p_y = torch.full((1, num_classes), (1 - p) / (num_classes - 1), dtype=torch.float64)
        p_y[0, 0] = p
        uniform, one_hot = torch.cat(
            [risks(pair, q, p_y), risks(pair, q, p_y @ uniform_transition(num_classes, rate))]
        ).T  # each (clean risk, noisy risk)
        # risks of up to 1/q from c products, the noisy ones from c products more
        rounding = 4 * (num_classes + 16) * EPS / q
        expected = (0, bound.noisy_upper) if clean_or_noisy == 0 else (bound.clean_lower, 0)
        assert (one_hot - uniform).tolist() == pytest.approx(expected, abs=rounding)


@pytest.mark.parametrize("num_classes", GRIDS)
@pytest.mark.parametrize("q", [0.2, 0.7, 1.0, 2.0])
def test_theorem_2_on_random_problems(q, num_classes):
    generator = torch.Generator().manual_seed(11)
    grid = GRIDS[num_classes]
    one_hot = [(grid[:, j] == 1).nonzero().item() for j in range(num_classes)]
    largest_excess = 0.0
    for _ in range(60):
        p_x = random_simplex(3, generator=generator)
        labels = torch.randint(num_classes, (3,), generator=generator)  # R(f*) = 0: x decides its label
        p_xy = p_x[:, None] * torch.nn.functional.one_hot(labels, num_classes)
        # each row's largest entry changes places with its diagonal: no wrong class is as frequent as the kept one
        transition = random_simplex(num_classes, num_classes, generator=generator)
        for i, largest in enumerate(transition.argmax(dim=1).tolist()):
            transition[i, [i, largest]] = transition[i, [largest, i]]
        clean, noisy = risks(grid, q, p_xy), risks(grid, q, p_xy @ transition)
        bound = class_dependent_excess_risk(q, (p_x * transition.diagonal()[labels]).sum().item(), num_classes)
        perfect = torch.tensor([[one_hot[label] for label in labels.tolist()]])
        for classifiers in sets_of_classifiers(clean, noisy, generator):
            noisy_excess, clean_excess = excess(clean, noisy, torch.cat([perfect, classifiers]))
            assert clean_excess <= 0
            assert 0 <= noisy_excess <= bound + 64 * EPS / q
            largest_excess = max(largest_excess, noisy_excess)
    assert (largest_excess > 64 * EPS / q) == (q < 1)  # below q = 1 noise does mislead, so the bound was put to use


def test_theorem_2_is_approached_as_the_noise_becomes_total():
    q, num_classes = 0.7, 10
    rate = 1 - 1 / num_classes - 1e-9
    pair = torch.tensor([[1 / num_classes] * num_classes, [1.0] + [0.0] * (num_classes - 1)], dtype=torch.float64)
    uniform, one_hot = risks(pair, q, uniform_transition(num_classes, rate)[:1])[0]
    # 9 wrong classes, each short of the kept one by 1e-9 * 10/9, times losses of at most 1/q
    assert (one_hot - uniform).item() == pytest.approx(class_dependent_excess_risk(q, 1 - rate, num_classes), abs=2e-8)


def test_published_theorem_1_figures():
    for num_classes, figures in ((10, (0.041, 0.114, 0.284, 1.137)), (100, (0.011, 0.029, 0.066, 0.179))):
        ours = [-uniform_noise_excess_risk(0.7, rate, num_classes).clean_lower for rate in (0.2, 0.4, 0.6, 0.8)]
        assert ours == pytest.approx(figures, abs=5e-4)


def test_excess_risks_at_their_limits():
    assert uniform_noise_excess_risk(1.0, 0.4, 10) == (0, 0)
    assert uniform_noise_excess_risk(0.0, 0.4, 10) == (math.inf, -math.inf)
    assert uniform_noise_excess_risk(0.0, 0.0, 10) == (0, 0)
    assert class_dependent_excess_risk(1.0, 0.8, 10) == class_dependent_excess_risk(2.0, 0.8, 10) == 0
    assert class_dependent_excess_risk(0.0, 0.8, 10) == math.inf


# --- the identity behind noise tolerance


@pytest.mark.parametrize(("num_classes", "rate"), [(2, 0.1), (2, 1.0), (3, 0.4), (10, 0.4), (10, 0.9), (50, 0.8)])
def test_noisy_risk_identity_tells_symmetric_losses_from_others(num_classes, rate):
    options = {"num_classes": num_classes, "rate": rate}
    for loss in (MAELoss(reduction="none"), gce(1.0)):
        assert noisy_risk_identity(loss, **options).holds
    for loss in (CCELoss(reduction="none"), gce(0.1), gce(0.7), gce(0.99), truncated(0.7, 0.5)):
        result = noisy_risk_identity(loss, **options)
        assert not result.holds
        assert result.gap == (result.noisy_risk - result.identity_risk).abs().max()


def test_noisy_risk_is_the_mean_over_labels_where_noise_makes_them_uniform():
    seen = []

    def spy(logits, labels):
        seen.append(logits)
        return CCELoss(reduction="none")(logits, labels)

    noisy_risk, identity_risk, _, _ = noisy_risk_identity(spy, num_classes=4, rate=0.75)
    logits = torch.stack([rows[0] for rows in seen[:-1]])  # each row once for all labels; the last is uniform f
    expected = -logits.log_softmax(dim=1).mean(dim=1).view(5, -1).mean(dim=1)
    # values of up to 600 nats, a mean of 64 * 4 of them in another order
    torch.testing.assert_close(noisy_risk, expected, rtol=256 * EPS, atol=0)
    torch.testing.assert_close(identity_risk, torch.full_like(expected, math.log(4)), rtol=64 * EPS, atol=256 * EPS)


def test_both_risks_are_straight_lines_in_the_rate_from_the_clean_risk():
    first, middle, last = (noisy_risk_identity(gce(0.7), rate=rate) for rate in (0.25, 0.5, 1.0))
    budget = {"rtol": 0, "atol": 256 * EPS}  # risks below 1/q, from 64 values of at most 10 terms each
    torch.testing.assert_close(
        (first.noisy_risk + (last.noisy_risk - first.noisy_risk) / 3), middle.noisy_risk, **budget
    )
    clean = [2 * a - b for a, b in zip(first[:2], middle[:2], strict=True)]
    torch.testing.assert_close(*clean, **budget)


# --- refusals


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("num_classes", [10.0, "10"])
def test_classes_that_are_no_whole_number_are_refused(num_classes):
    with pytest.raises(ValueError, match="num_classes must be a whole number"):
        is_symmetric(gce(0.7), num_classes)


@pytest.mark.parametrize("num_classes", [1, 0, -3, True])
@pytest.mark.parametrize(
    "call",
    [
        lambda c: is_symmetric(gce(0.7), c),
        lambda c: gce_sum_bounds(0.7, c),
        lambda c: truncated_gce_sum_bounds(0.7, 0.5, c),
        lambda c: truncation_tightens(0.7, 0.5, c),
        lambda c: uniform_noise_excess_risk(0.7, 0.1, c),
        lambda c: class_dependent_excess_risk(0.7, 0.8, c),
        lambda c: noisy_risk_identity(gce(0.7), num_classes=c),
    ],
)
def test_too_few_classes_are_refused(call, num_classes):
    with pytest.raises(ValueError, match=f"num_classes must be a whole number >= 2, got {num_classes}"):
        call(num_classes)


@pytest.mark.parametrize("q", [-0.1, math.inf, math.nan])
@pytest.mark.parametrize(
    "call",
    [
        lambda q: gce_sum_bounds(q, 10),
        lambda q: truncated_gce_sum_bounds(q, 0.5, 10),
        lambda q: truncation_tightens(q, 0.5, 10),
        lambda q: uniform_noise_excess_risk(q, 0.1, 10),
        lambda q: class_dependent_excess_risk(q, 0.8, 10),
    ],
)
def test_q_outside_its_range_is_refused(call, q):
    with pytest.raises(ValueError, match=f"q must be .* got {q}"):
        call(q)


@pytest.mark.parametrize("k", [0.0, 1.0, -0.5, math.nan])
def test_k_outside_its_range_is_refused(k):
    for call in (truncated_gce_sum_bounds, truncation_tightens):
        with pytest.raises(ValueError, match=f"k must be .* got {k}"):
            call(0.7, k, 10)


@pytest.mark.parametrize(
    ("call", "bad"),
    [
        (lambda rate: uniform_noise_excess_risk(0.7, rate, 10), (-0.1, 0.9, 1.0, math.nan)),
        (lambda rate: noisy_risk_identity(gce(0.7), rate=rate), (-0.1, 0.0, 1.1, math.nan)),
        (lambda clean_rate: class_dependent_excess_risk(0.7, clean_rate, 10), (0.0, 0.1, 1.1, math.nan)),
    ],
)
def test_rates_outside_their_range_are_refused(call, bad):
    for rate in bad:
        with pytest.raises(ValueError, match=f"rate must be within .* got {rate}"):
            call(rate)
