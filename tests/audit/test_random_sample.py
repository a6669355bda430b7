import math

import numpy as np
import pytest

from labelnoise.audit.random_sample import draw_sample, estimate_from_sample

AUDITS, SIZE = 200, 100
# Of 200 intervals that each hold with chance .95, 190 do on average, 3.1 being the standard deviation. P(fewer than
# 183) is .0121: below that the interval is not one of 95 %.
AT_LEAST = 183


def wilson_width(rate, size, z=1.959964):
    return 2 * z * math.sqrt(rate * (1 - rate) / size + z**2 / (4 * size**2)) / (1 + z**2 / size)


def calibrated(random, truth, wrong):
    return truth


def overconfident(random, truth, wrong):
    return truth**4 / (truth**4 + (1 - truth) ** 4)


def upside_down(random, truth, wrong):
    return 1 - truth


def unrelated(random, truth, wrong):
    return random.permutation(truth)


def blind(random, truth, wrong):
    """Sure of the right label exactly where the given one is wrong."""
    return np.where(wrong, 0.001 * random.random(len(truth)), 0.5 * random.random(len(truth)))


def simulate(ranking, rate, audits=AUDITS, n=2000):
    """Whether each interval held, its width, and that of Wilson's for a plain sample of the same size."""
    random = np.random.default_rng(int(1000 * rate))
    held, widths, plain, errors = [], [], [], []
    for seed in range(audits):
        truth = random.beta(0.3 * rate, 0.3 * (1 - rate), size=n) if rate else np.zeros(n)
        wrong = random.random(n) < truth
        sample = draw_sample(ranking(random, truth, wrong), SIZE, seed=seed)
        estimate = estimate_from_sample(sample, {row: bool(wrong[row]) for row in sample.index.tolist()})
        held.append(estimate.low <= wrong.mean() <= estimate.high)
        widths.append(estimate.high - estimate.low)
        errors.append(estimate.rate - wrong.mean())
        plain.append(wilson_width(wrong[random.choice(n, SIZE, replace=False)].mean(), SIZE))
    return sum(held), np.mean(widths), np.mean(plain), np.array(errors)


def test_what_chance_allows_of_200_intervals():
    fewer = sum(math.comb(AUDITS, k) * 0.95**k * 0.05 ** (AUDITS - k) for k in range(AT_LEAST))
    assert fewer == pytest.approx(0.0121, abs=1e-4)


@pytest.mark.parametrize("rate", [0.0, 0.02, 0.1, 0.4])
@pytest.mark.parametrize("ranking", [calibrated, overconfident, upside_down, unrelated, blind])
def test_the_interval_holds_the_true_rate_and_is_no_wider_than_without_strata(ranking, rate):
    held, width, plain, errors = simulate(ranking, rate)
    assert held >= AT_LEAST
    assert width <= plain
    # Unbiased, whatever the ranking: four standard errors.
    assert abs(errors.mean()) <= 4 * errors.std() / math.sqrt(AUDITS)


def test_a_ranking_that_tells_something_narrows_the_interval():
    _, width, plain, _ = simulate(calibrated, 0.4)
    assert width < 0.75 * plain


def test_every_row_is_as_likely_to_be_drawn():
    n, draws = 103, 4000
    p_wrong = np.linspace(0, 1, n) ** 8
    counts = np.zeros(n)
    for seed in range(draws):
        counts[draw_sample(p_wrong, 30, seed=seed).index] += 1
    # Strata of 34 or 35 rows give 9 to 11 each: shares within a row of one tenth of 30 / 103, and chance beside it.
    assert np.allclose(counts / draws, 30 / n, atol=1 / 34 + 4 * math.sqrt(0.3 * 0.7 / draws))


def test_a_sample_is_of_different_rows_by_their_strata_in_random_order():
    p_wrong = np.random.default_rng(0).random(1000)
    sample = draw_sample(p_wrong, 100, seed=3)
    assert len(set(sample.index.tolist())) == 100
    assert sample.strata == (100,) * 10
    ranks = p_wrong.argsort().argsort()
    assert (ranks[sample.index] // 100 == sample.stratum).all()
    assert abs(np.corrcoef(np.arange(100), sample.stratum)[0, 1]) < 0.4  # four standard deviations
    again, other = draw_sample(p_wrong, 100, seed=3), draw_sample(p_wrong, 100, seed=4)
    assert (again.index == sample.index).all()
    assert (other.index != sample.index).any()


@pytest.mark.parametrize("size", [2, 3, 19, 20, 57, 99, 100, 101])
def test_all_sizes_up_to_every_row(size):
    n = 101
    sample = draw_sample(np.zeros(n), size)
    assert sum(sample.strata) == n
    assert len(set(sample.index.tolist())) == size
    assert np.bincount(sample.stratum).min() >= min(size, 9)
    estimate = estimate_from_sample(sample, {row: row % 2 == 0 for row in range(n)})
    found = sum(row % 2 == 0 for row in sample.index.tolist())
    assert (
        found / n <= estimate.low <= estimate.rate <= estimate.high <= (found + n - size) / n
    )  # what is known for sure
    if size == n:
        assert estimate == pytest.approx((51 / 101,) * 3)


def test_no_wrong_labels_and_nothing_but_wrong_ones():
    sample = draw_sample(np.zeros(10_000), 100)
    none, all_ = (estimate_from_sample(sample, dict.fromkeys(range(10_000), wrong)) for wrong in (False, True))
    assert none.low == none.rate == 0
    assert all_.high == all_.rate == 1
    effective = 100 / (1 - 100 / 10_000)
    assert none.high == pytest.approx(1.959964**2 / (effective + 1.959964**2))  # Wilson's, at 0
    assert all_.low == pytest.approx(1 - none.high)


def test_rows_outside_of_the_sample_count_for_nothing():
    sample = draw_sample(np.arange(500), 50)
    drawn = {row: row % 7 == 0 for row in sample.index.tolist()}
    assert estimate_from_sample(sample, {**dict.fromkeys(range(500), True), **drawn}) == estimate_from_sample(
        sample, drawn
    )


@pytest.mark.parametrize(
    ("p_wrong", "size", "message"),
    [
        (np.zeros(10), 1, r"size must be within \[2, 10\], the number of rows, got 1"),
        (np.zeros(10), 11, r"size must be within \[2, 10\]"),
        (np.zeros((10, 2)), 5, r"p_wrong must be of shape \(n,\)"),
        (np.array([0.5, np.nan]), 2, "p_wrong must be .* finite numbers"),
        (["a", "b"], 2, "p_wrong must be .* numbers"),
    ],
)
def test_what_cannot_be_drawn(p_wrong, size, message):
    with pytest.raises(ValueError, match=message):
        draw_sample(p_wrong, size)


def test_a_sample_that_is_not_read_to_its_end_gives_no_estimate():
    sample = draw_sample(np.arange(500), 50)
    with pytest.raises(ValueError, match="wrong must have every row of the sample, got 2 of 50 too few"):
        estimate_from_sample(sample, dict.fromkeys(sample.index.tolist()[2:], False))


def test_of_data_that_were_read_in_good_part_the_interval_is_narrower():
    sample = draw_sample(np.arange(200), 100)
    estimate = estimate_from_sample(sample, {row: row >= 180 for row in range(200)})
    assert estimate.high - estimate.low < 0.06
