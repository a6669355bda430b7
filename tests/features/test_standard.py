import json

import pytest
import torch

from labelnoise.features import Standard


def test_columns_come_to_mean_0_and_deviation_1_and_a_constant_one_to_0():
    inputs = torch.stack([torch.arange(9.0) * 1e-6 + 5, torch.arange(9.0) * 1e6, torch.full((9,), 3.7)], 1)
    scaled = Standard().fit(inputs).transform(inputs)
    assert torch.allclose(scaled[:, 1].mean(), torch.tensor(0.0), atol=1e-6)
    assert torch.allclose(scaled[:, :2].std(0, correction=0), torch.ones(2))
    assert not scaled[:, 2].any()
    assert scaled.dtype == torch.float32


def test_a_stray_value_stays_within_ten_deviations():
    standard = Standard().fit(torch.tensor([[-1.0], [1.0]]))
    assert standard.transform(torch.tensor([[3e38], [-3e38]])).tolist() == [[10.0], [-10.0]]


def test_large_values_do_not_overflow():
    inputs = torch.tensor([[3e38], [-3e38]])
    assert Standard().fit(inputs).transform(inputs).tolist() == [[1.0], [-1.0]]


def test_the_state_keeps_every_bit():
    inputs = torch.randn(50, 4, generator=torch.Generator().manual_seed(0)) / 3 + 1000
    standard = Standard().fit(inputs)
    again = Standard.from_state(json.loads(json.dumps(standard.state())))
    assert torch.equal(standard.transform(inputs), again.transform(inputs))


def test_nothing_to_learn_from_and_another_width_are_refused():
    with pytest.raises(ValueError, match="must have a column that is not constant, got 2 that are"):
        Standard().fit(torch.ones(5, 2))
    with pytest.raises(ValueError, match="must have 2 columns, as in training, got 3"):
        Standard().fit(torch.eye(2)).transform(torch.eye(3))
