import math
import sys
from itertools import accumulate
from statistics import NormalDist

import pytest
import torch

from labelnoise.noise import instance_dependent


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def truncated_normal_mean(rate, spread):
    """Textbook formula for the mean of N(rate, spread^2) truncated to [0, 1]."""
    normal, low, high = NormalDist(), -rate / spread, (1 - rate) / spread
    return rate + spread * (normal.pdf(low) - normal.pdf(high)) / (normal.cdf(high) - normal.cdf(low))


def slow(labels, features, rate, num_classes, generator, spread):
    """Algorithm 2 sample by sample in plain Python. Draws flip rates, labels, then one matrix a class."""
    normal, n, dim = NormalDist(rate, spread), len(labels), features[0].numel()
    rate_draws = torch.rand(n, generator=generator).tolist()
    label_draws = torch.rand(n, generator=generator).tolist()
    matrices = [torch.randn(dim, num_classes, generator=generator).tolist() for _ in range(num_classes)]
    noisy, rows = [], []
    for i, true in enumerate(labels.tolist()):
        q = normal.inv_cdf(normal.cdf(0) + (normal.cdf(1) - normal.cdf(0)) * rate_draws[i])
        x = features[i].flatten().tolist()
        scores = [sum(x[d] * matrices[true][d][j] for d in range(dim)) for j in range(num_classes)]
        powers = [0.0 if j == true else math.exp(score) for j, score in enumerate(scores)]
        row = [q * power / sum(powers) for power in powers]
        row[true] = 1 - q
        rows.append(row)
        noisy.append(next(j for j, edge in enumerate(accumulate(row)) if edge > label_draws[i]))
    return noisy, torch.tensor(rows, dtype=torch.float64)


def test_equals_the_slow_reference():
    labels = torch.randint(4, (300,), generator=seeded(0))
    features = torch.randn(300, 3, 2, generator=seeded(1))
    fast = instance_dependent(labels, features=features, rate=0.4, num_classes=4, generator=seeded(2), spread=0.1)
    noisy, rows = slow(labels, features, 0.4, 4, seeded(2), 0.1)
    assert fast.labels.tolist() == noisy
    for true in range(4):
        # NormalDist.inv_cdf and ndtri are each good to about 1e-15 relative; sums of 300 terms add as much.
        torch.testing.assert_close(fast.transition[true], rows[labels == true].mean(0), rtol=0, atol=1e-12)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.4, 1.0])
def test_mean_rate_is_that_of_the_truncated_normal(rate):
    labels = torch.arange(5).repeat(10_000)
    features = torch.randn(len(labels), 4, generator=seeded(0))
    noisy = instance_dependent(labels, features=features, rate=rate, num_classes=5, generator=seeded(1))
    expected = truncated_normal_mean(rate, 0.1)
    assert abs(noisy.rate - expected) <= 5 * math.sqrt(expected * (1 - expected) / len(labels))


def test_same_class_and_features_share_a_flip_distribution_and_other_features_have_another():
    # Three groups of one class: a, a again, b.
    each = 20_000
    a, b = torch.randn(2, 6, generator=seeded(0))
    features = torch.cat([a.expand(each, -1), a.expand(each, -1), b.expand(each, -1)])
    labels = torch.full((3 * each,), 2)
    noisy = instance_dependent(labels, features=features, rate=0.5, num_classes=8, generator=seeded(1)).labels
    first, again, other = (torch.bincount(part, minlength=8).double() for part in noisy.split(each))

    def chi_square(one, two):
        return ((one - two) ** 2 / (one + two).clamp(min=1)).sum()

    limit = 7 + 5 * math.sqrt(2 * 7)
    assert chi_square(first, again) < limit
    assert chi_square(first, other) > 10 * limit


def test_true_class_decides_which_projection():
    labels = torch.arange(2).repeat_interleave(20_000)
    features = torch.ones(40_000, 3)
    transition = instance_dependent(labels, features=features, rate=0.5, num_classes=6, generator=seeded(0)).transition
    assert (transition[0, 2:] - transition[1, 2:]).abs().max() > 0.05


def test_large_features_choose_one_class_and_tiny_ones_choose_evenly():
    labels, direction = torch.zeros(1000, dtype=torch.int64), torch.ones(1000, 4)
    for scale, largest in ((1e4, 1.0), (1e-6, 0.25)):
        record = instance_dependent(labels, features=direction * scale, rate=0.5, num_classes=5, generator=seeded(0))
        choice = record.transition[0, 1:] / record.transition[0, 1:].sum()
        assert choice.max().item() == pytest.approx(largest, abs=1e-4)


def test_a_class_without_samples_has_the_row_of_the_identity():
    transition = instance_dependent(
        torch.tensor([0, 0, 2]), features=torch.ones(3, 2), rate=0.5, num_classes=4, generator=seeded(0)
    ).transition
    assert torch.equal(transition[[1, 3]], torch.eye(4, dtype=torch.float64)[[1, 3]])
    assert transition[0, 0] < 1
    assert transition[2, 2] < 1


def test_integer_images_and_more_samples_than_fit_at_once(monkeypatch):
    labels = torch.randint(3, (500,), generator=seeded(0))
    images = torch.randint(256, (500, 3, 4, 4), generator=seeded(1)).to(torch.uint8)
    whole = instance_dependent(labels, features=images, rate=0.4, num_classes=3, generator=seeded(2))
    monkeypatch.setattr(sys.modules[instance_dependent.__module__], "ROWS_AT_ONCE", 64)
    parts = instance_dependent(labels, features=images.float(), rate=0.4, num_classes=3, generator=seeded(2))
    assert torch.equal(whole.labels, parts.labels)
    torch.testing.assert_close(whole.transition, parts.transition, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"features": torch.ones(2)}, r"features must be a tensor of shape \(n, ...\) with n = 2 rows, got \(2,\)"),
        ({"features": torch.tensor([[1.0], [math.nan]])}, "features must be finite, got NaN or infinity"),
        (
            {"features": torch.full((2, 9), 1e308, dtype=torch.float64)},
            r"features must be small enough to be projected, got up to 1e\+308",
        ),
        ({"spread": -0.1}, r"spread must be within \(0, 1\], got -0.1"),
        ({"spread": math.nan}, r"spread must be within \(0, 1\], got nan"),
    ],
)
def test_bad_input(settings, message):
    arguments = {"features": torch.ones(2, 2), "rate": 0.4, "num_classes": 3, "generator": seeded(0)}
    with pytest.raises(ValueError, match=f"^{message}$"):
        instance_dependent(torch.tensor([0, 1]), **(arguments | settings))


def test_features_of_other_samples():
    # Under the type hook of the test run the error is the hook's.
    with pytest.raises((ValueError, TypeError), match="features"):
        instance_dependent(
            torch.tensor([0, 1]), features=torch.ones(3, 2), rate=0.4, num_classes=3, generator=seeded(0)
        )
