import math

import pytest
import torch

from labelnoise.noise import symmetric, symmetric_inclusive


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def five_sigma(probability, count):
    """How far a binomial share strays from its mean with odds of 6e-7."""
    return 5 * math.sqrt(probability * (1 - probability) / count)


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.8, 1.0])
@pytest.mark.parametrize("num_classes", [2, 10, 100])
def test_the_share_of_wrong_labels_is_the_rate(rate, num_classes):
    labels = torch.arange(num_classes).repeat(100_000 // num_classes)
    noisy = symmetric(labels, rate=rate, num_classes=num_classes, generator=seeded(0))
    assert abs(noisy.rate - rate) <= five_sigma(rate, len(labels))


def test_exclusive_means_always_another_class():
    labels = torch.arange(10).repeat(1000)
    noisy = symmetric(labels, rate=1.0, num_classes=10, generator=seeded(0))
    assert noisy.flipped.all()


def test_wrong_labels_are_spread_evenly_over_the_other_classes():
    labels = torch.full((90_000,), 3)
    noisy = symmetric(labels, rate=1.0, num_classes=10, generator=seeded(0)).labels
    counts = torch.bincount(noisy, minlength=10).double()
    others = counts[torch.arange(10) != 3]
    chi_square = ((others - 10_000) ** 2 / 10_000).sum()
    assert counts[3] == 0
    assert chi_square < 8 + 5 * math.sqrt(2 * 8)  # mean and standard deviation with 8 degrees of freedom


def test_transition_is_the_formula():
    transition = symmetric(torch.tensor([0]), rate=0.3, num_classes=4, generator=seeded(0)).transition
    expected = torch.tensor([[0.7 if i == j else 0.1 for j in range(4)] for i in range(4)], dtype=torch.float64)
    torch.testing.assert_close(transition, expected, rtol=0, atol=1e-15)


def test_exclusive_and_inclusive_differ_by_rate_over_k():
    labels, rate = torch.arange(10).repeat(20_000), 0.8
    exclusive = symmetric(labels, rate=rate, num_classes=10, generator=seeded(0))
    inclusive = symmetric_inclusive(labels, rate=rate, num_classes=10, generator=seeded(1))
    allowed = five_sigma(0.8, len(labels)) + five_sigma(0.72, len(labels))
    assert abs(exclusive.rate - inclusive.rate - rate / 10) <= allowed
    diagonals = inclusive.transition.diagonal() - exclusive.transition.diagonal()
    torch.testing.assert_close(diagonals, torch.full((10,), rate / 10, dtype=torch.float64), rtol=0, atol=1e-15)


def test_at_one_seed_a_higher_rate_keeps_the_flips_of_a_lower_one():
    labels = torch.arange(10).repeat(1000)
    low, high = (symmetric(labels, rate=rate, num_classes=10, generator=seeded(0)) for rate in (0.2, 0.6))
    assert torch.equal(low.labels[low.flipped], high.labels[low.flipped])
