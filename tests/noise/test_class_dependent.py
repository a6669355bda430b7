import math

import pytest
import torch

from labelnoise.noise import class_dependent


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def test_realised_transition_is_the_declared_one():
    transition = torch.rand(6, 6, generator=seeded(0), dtype=torch.float64)
    transition[transition < 0.2] = 0
    transition = transition / transition.sum(dim=1, keepdim=True)
    labels, each = torch.arange(6).repeat(20_000), 20_000
    noisy = class_dependent(labels, transition=transition, generator=seeded(1)).labels
    for true in range(6):
        for wrong in range(6):
            probability = transition[true, wrong].item()
            share = (noisy[labels == true] == wrong).sum().item() / each
            assert abs(share - probability) <= 5 * math.sqrt(probability * (1 - probability) / each)


def test_a_permutation_is_applied_to_the_bit():
    order = torch.randperm(50, generator=seeded(0))
    labels = torch.arange(50).repeat(200)
    noisy = class_dependent(labels, transition=torch.eye(50)[order], generator=seeded(1))
    assert torch.equal(noisy.labels, order[labels])


def test_float32_rows_are_taken_and_made_to_sum_to_one():
    transition = torch.full((3, 3), 1 / 3)
    record = class_dependent(torch.tensor([0, 1, 2]), transition=transition, generator=seeded(0))
    torch.testing.assert_close(record.transition, torch.full((3, 3), 1 / 3, dtype=torch.float64), rtol=0, atol=1e-15)


def test_one_class_can_only_stay():
    record = class_dependent(torch.zeros(5, dtype=torch.int64), transition=torch.ones(1, 1), generator=seeded(0))
    assert record.rate == 0.0


@pytest.mark.parametrize(
    ("transition", "message"),
    [
        (torch.tensor([[0.5, 0.4], [0.0, 1.0]]), r"rows that sum to 1, got a row that sums to 0\.9"),
        (torch.tensor([[1.5, -0.5], [0.0, 1.0]]), r"hold probabilities, got -0\.5"),
        (torch.tensor([[math.nan, 1.0], [0.0, 1.0]]), "hold probabilities, got nan"),
        (torch.tensor([[math.inf, 1.0], [0.0, 1.0]]), "rows that sum to 1, got a row that sums to inf"),
    ],
)
def test_bad_transition(transition, message):
    with pytest.raises(ValueError, match=f"^transition must .*{message}"):
        class_dependent(torch.tensor([0, 1]), transition=transition, generator=seeded(0))


def test_a_label_beyond_the_matrix():
    with pytest.raises(ValueError, match=r"^labels must be within \[0, 2\), got 2"):
        class_dependent(torch.tensor([0, 2]), transition=torch.eye(2), generator=seeded(0))


@pytest.mark.usefixtures("without_shape_checks")
def test_labels_that_are_no_tensor_are_refused_as_by_every_noise():
    with pytest.raises(ValueError, match="labels must be"):
        class_dependent([0, 1], transition=torch.eye(2), generator=seeded(0))
