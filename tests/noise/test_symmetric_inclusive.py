import math

import pytest
import torch

from labelnoise.noise import symmetric_inclusive


@pytest.mark.parametrize("rate", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("num_classes", [2, 10])
def test_the_share_of_wrong_labels_is_rate_times_one_minus_one_over_k(rate, num_classes):
    labels = torch.arange(num_classes).repeat(100_000 // num_classes)
    generator = torch.Generator().manual_seed(0)
    noisy = symmetric_inclusive(labels, rate=rate, num_classes=num_classes, generator=generator)
    expected = rate * (1 - 1 / num_classes)
    assert abs(noisy.rate - expected) <= 5 * math.sqrt(expected * (1 - expected) / len(labels))


def test_at_rate_one_nothing_of_the_true_label_is_left():
    labels = torch.zeros(100_000, dtype=torch.int64)
    generator = torch.Generator().manual_seed(0)
    noisy = symmetric_inclusive(labels, rate=1.0, num_classes=10, generator=generator)
    chi_square = ((torch.bincount(noisy.labels, minlength=10) - 10_000.0) ** 2 / 10_000).sum()
    assert chi_square < 9 + 5 * math.sqrt(2 * 9)
    torch.testing.assert_close(noisy.transition, torch.full((10, 10), 0.1, dtype=torch.float64), rtol=0, atol=1e-15)
