import math

import pytest
import torch

from labelnoise.noise import map_flip
from labelnoise.noise.map_flip import map_transition


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def test_only_mapped_classes_flip_and_only_to_their_image():
    labels, mapping = torch.arange(5).repeat(20_000), {0: 3, 3: 0, 4: 1}
    noisy = map_flip(labels, mapping=mapping, rate=0.3, num_classes=5, generator=seeded(0))
    for true in range(5):
        mine = labels == true
        wrong = noisy.labels[mine & noisy.flipped].unique().tolist()
        assert wrong == ([mapping[true]] if true in mapping else [])
        if true in mapping:
            assert abs(noisy.flipped[mine].double().mean() - 0.3) <= 5 * math.sqrt(0.3 * 0.7 / 20_000)


def test_transition_moves_the_rate_and_nothing_else():
    expected = torch.tensor([[1, 0, 0], [0.4, 0.6, 0], [0.4, 0, 0.6]], dtype=torch.float64)
    assert torch.equal(map_transition({1: 0, 2: 0}, rate=0.4, num_classes=3), expected)


def test_an_empty_map_changes_nothing():
    labels = torch.tensor([0, 1, 2])
    assert torch.equal(map_flip(labels, mapping={}, rate=1.0, num_classes=3, generator=seeded(0)).labels, labels)


@pytest.mark.parametrize("mapping", [{0: 3}, {3: 0}, {-1: 0}, {1: 1}, {False: True}, {0: True}])
def test_bad_mapping(mapping):
    with pytest.raises(ValueError, match=r"^mapping must lead from one class in \[0, 3\) to another, got \("):
        map_flip(torch.tensor([0]), mapping=mapping, rate=0.4, num_classes=3, generator=seeded(0))
