import math

import pytest
import torch

from labelnoise.noise import pair_flip


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("num_classes", [2, 10])
def test_flips_go_to_the_next_class_at_the_rate(num_classes):
    labels = torch.arange(num_classes).repeat(100_000 // num_classes)
    noisy = pair_flip(labels, rate=0.45, num_classes=num_classes, generator=seeded(0))
    assert torch.equal(noisy.labels, torch.where(noisy.flipped, (labels + 1) % num_classes, labels))
    assert abs(noisy.rate - 0.45) <= 5 * math.sqrt(0.45 * 0.55 / len(labels))


def test_transition_of_three_classes():
    expected = torch.tensor([[0.75, 0.25, 0], [0, 0.75, 0.25], [0.25, 0, 0.75]], dtype=torch.float64)
    assert torch.equal(pair_flip(torch.tensor([0]), rate=0.25, num_classes=3, generator=seeded(0)).transition, expected)
