import pytest
import torch

from labelnoise.training import child_generator, split_validation


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.37])
def test_the_split_is_a_partition_in_the_proportions_of_the_labels(fraction):
    labels = torch.randint(5, (501,), generator=torch.Generator().manual_seed(0))
    train, validation = split_validation(labels, fraction=fraction, generator=child_generator(0, "split"))
    assert torch.equal(torch.cat([train, validation]).sort().values, torch.arange(501))
    assert len(validation) == round(501 * fraction)
    shares = labels[validation].bincount(minlength=5) - fraction * labels.bincount()
    assert shares.abs().max() <= 1  # evenly spaced picks from the rows sorted by label


def test_the_split_depends_on_the_seed_alone():
    labels = torch.arange(100) % 3
    first, again, other = (
        split_validation(labels, fraction=0.1, generator=child_generator(seed, "split"))[1] for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_rows_are_drawn_at_random_and_not_evenly_from_the_file():
    labels = torch.zeros(100, dtype=torch.int64)
    _, rows = split_validation(labels, fraction=0.1, generator=child_generator(0, "split"))
    assert len(set(rows.diff().tolist())) > 2


def test_a_rare_label_falls_now_on_this_side_and_now_on_the_other():
    labels = torch.tensor([0] * 95 + [1] * 5)
    drawn = [split_validation(labels, fraction=0.1, generator=child_generator(seed, "split"))[1] for seed in range(20)]
    assert {bool(labels[rows].any()) for rows in drawn} == {False, True}


@pytest.mark.parametrize("fraction", [0.0, 0.001, 0.999, 1.0])
def test_a_side_without_samples_is_refused(fraction):
    with pytest.raises(ValueError, match="fraction must leave samples on both sides"):
        split_validation(torch.zeros(10, dtype=torch.int64), fraction=fraction, generator=torch.Generator())
