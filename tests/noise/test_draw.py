import torch

from labelnoise.noise._draw import columns, integers, uniform


def test_columns_invert_the_row_at_its_edges():
    rows = torch.tensor([[0.0, 0.5, 0.0, 0.5], [0.25, 0.75, 0.0, 0.0]], dtype=torch.float64)
    just_below_one = 1 - 2**-24  # the largest float32 below 1
    draws = torch.tensor([0.0, 0.4999, 0.5, just_below_one, 0.0, 0.2499, 0.25, just_below_one], dtype=torch.float64)
    row = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    assert columns(rows, row, draws).tolist() == [1, 1, 3, 3, 0, 0, 1, 1]


def test_the_largest_draw_stays_in_its_row_even_in_the_last_of_many():
    rows = torch.full((5000, 7), 1 / 7, dtype=torch.float64)
    row = torch.arange(5000)
    assert (columns(rows, row, torch.full((5000,), 1 - 2**-24, dtype=torch.float64)) == 6).all()
    assert (columns(rows, row, torch.zeros(5000, dtype=torch.float64)) == 0).all()


def test_draws_ignore_the_default_dtype():
    labels = torch.zeros(100, dtype=torch.int64)
    draws = uniform(labels, torch.Generator().manual_seed(0))
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(uniform(labels, torch.Generator().manual_seed(0)), draws)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(draws, draws.float().double())


def test_integers_cover_their_range():
    labels = torch.zeros(1000, dtype=torch.int64)
    assert integers(1, 4, labels, torch.Generator().manual_seed(0)).unique().tolist() == [1, 2, 3]
