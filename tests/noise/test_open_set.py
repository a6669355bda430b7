import math
import random

import numpy as np
import pytest
import torch

from labelnoise import noise
from labelnoise.noise import OpenSetRecord, open_set

N, OTHERS = 1000, 700


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def data(shape=(3, 4, 4), dtype=torch.uint8):
    """Every input holds its own row number, the others' from 10 000 on, so that each can be told."""
    wide = torch.int32 if dtype is torch.uint8 else dtype
    numbers = torch.arange(N).to(wide), (10_000 + torch.arange(OTHERS)).to(wide)
    inputs, others = (n.view(-1, *(1,) * len(shape)).expand(-1, *shape).contiguous() for n in numbers)
    return inputs, torch.arange(N) % 10, others


@pytest.mark.parametrize("shape", [(), (5,), (3, 4, 4)], ids=str)
@pytest.mark.parametrize("dtype", [torch.int32, torch.float32, torch.float64])
def test_every_sample_is_its_own_or_one_other(shape, dtype):
    inputs, labels, others = data(shape, dtype)
    before = inputs.clone(), labels.clone(), others.clone()
    record = open_set(inputs, labels, other_inputs=others, rate=0.4, generator=seeded(0))
    assert isinstance(record, OpenSetRecord)
    assert all(torch.equal(a, b) for a, b in zip((inputs, labels, others), before, strict=True))
    assert (record.inputs.dtype, record.inputs.shape) == (dtype, inputs.shape)
    source = dict(zip(record.replaced.tolist(), record.sources.tolist(), strict=True))
    assert len(source) == len(set(source.values())) == 400
    for row in range(N):
        wanted, label = (others[source[row]], -1) if row in source else (inputs[row], int(labels[row]))
        assert torch.equal(record.inputs[row], wanted)
        assert record.true_labels[row] == label
    assert torch.equal(record.labels, labels)
    assert torch.equal(record.replaced, record.replaced.sort().values)
    assert {getattr(record, name).dtype for name in ("labels", "true_labels", "replaced", "sources")} == {torch.int64}


def test_the_record_shares_no_memory_with_what_came_in():
    inputs, labels, others = data()
    record = open_set(inputs, labels, other_inputs=others, rate=0.1, generator=seeded(0))
    record.inputs.zero_(), record.labels.zero_(), record.true_labels.zero_()
    assert torch.equal(inputs, data()[0])
    assert torch.equal(labels, data()[1])


@pytest.mark.parametrize("rate", [0.0, 0.0004, 0.0006, 0.25, 0.7])
def test_the_rate_is_met_to_one_sample(rate):
    inputs, labels, others = data()
    record = open_set(inputs, labels, other_inputs=others, rate=rate, generator=seeded(0))
    assert isinstance(record.rate, float)
    assert len(record.replaced) == round(rate * N)
    assert record.rate == len(record.replaced) / N == (record.true_labels == -1).sum().item() / N


def test_all_and_none_and_nothing():
    inputs, labels, others = data()
    everything = open_set(inputs[:OTHERS], labels[:OTHERS], other_inputs=others, rate=1.0, generator=seeded(0))
    assert torch.equal(everything.inputs.sort(0).values, others)
    assert (everything.true_labels == -1).all()
    none = open_set(inputs, labels, other_inputs=others[:0], rate=0.0, generator=seeded(0))
    assert torch.equal(none.inputs, inputs)
    empty = open_set(inputs[:0], labels[:0], other_inputs=others, rate=0.4, generator=seeded(0))
    assert (empty.inputs.shape, empty.rate, len(empty.replaced)) == (inputs[:0].shape, 0.0, 0)


def test_rows_and_sources_are_drawn_evenly():
    """Each row and each source in 0.1 of 400 draws, however the labels lie: five standard deviations, 30 of each."""
    inputs, labels, others = torch.zeros(30, 1), torch.arange(30) // 10, torch.ones(30, 1)
    draw = seeded(0)
    records = [open_set(inputs, labels, other_inputs=others, rate=0.1, generator=draw) for _ in range(400)]
    for drawn in (torch.cat([r.replaced for r in records]), torch.cat([r.sources for r in records])):
        shares = drawn.bincount(minlength=30) / 400
        assert (shares - 0.1).abs().max() <= 5 * math.sqrt(0.1 * 0.9 / 400)
    # which source a row gets says nothing of the row: without the second draw they would be equal, or both ascending
    first, second = (torch.stack([getattr(r, name) for r in records]) for name in ("replaced", "sources"))
    assert (second.diff(dim=1) < 0).any()
    assert (first == second).double().mean() < 0.1


def test_the_generator_decides_and_no_global_state_is_touched():
    inputs, labels, others = data()
    draw, again, other = seeded(1), seeded(1), seeded(2)
    state = random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().tolist()
    one, same, two = (
        open_set(inputs, labels, other_inputs=others, rate=0.4, generator=g) for g in (draw, again, other)
    )
    assert state == (random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().tolist())
    assert all(torch.equal(torch.as_tensor(a), torch.as_tensor(b)) for a, b in zip(one, same, strict=True))
    assert not torch.equal(one.replaced, two.replaced)
    moved_on = open_set(inputs, labels, other_inputs=others, rate=0.4, generator=draw)
    assert not torch.equal(one.replaced, moved_on.replaced)


def test_a_higher_rate_replaces_the_same_and_more():
    inputs, labels, others = data()
    low, high = (open_set(inputs, labels, other_inputs=others, rate=rate, generator=seeded(0)) for rate in (0.2, 0.5))
    pairs = [set(zip(r.replaced.tolist(), r.sources.tolist(), strict=True)) for r in (low, high)]
    assert pairs[0] < pairs[1]


def test_labels_and_noise_do_not_depend_on_each_other():
    inputs, labels, others = data()
    one = open_set(inputs, labels, other_inputs=others, rate=0.4, generator=seeded(0))
    two = open_set(inputs, torch.zeros_like(labels), other_inputs=others, rate=0.4, generator=seeded(0))
    assert torch.equal(one.inputs, two.inputs)


def test_it_is_exported_but_no_model_of_noisy_labels():
    assert "open_set" in noise.__all__
    assert "open_set" not in noise.names()
    with pytest.raises(ValueError, match="unknown noise model 'open_set'"):
        noise.build("open_set", rate=0.4)


# Wrong types are the type hook's errors where the suite runs under it, and the package's own where it does not.
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"inputs": [[0.0]] * 4}, "inputs"),
        ({"inputs": torch.tensor(0.0)}, "inputs"),
        ({"inputs": torch.zeros(4, 2).to_sparse()}, r"inputs must be a dense tensor .*, got torch.sparse_coo \(4, 2\)"),
        ({"inputs": torch.zeros(5, 2)}, "inputs"),
        ({"labels": torch.zeros(4)}, "labels"),
        ({"labels": torch.zeros(4, 1, dtype=torch.int64)}, "labels"),
        ({"labels": torch.tensor([0, 1, 2, -1])}, "labels must be within .* got -1"),
        ({"labels": torch.zeros(3, dtype=torch.int64)}, "inputs|labels"),
        ({"other_inputs": None}, "other_inputs"),
        ({"other_inputs": torch.zeros(4, 2).to_sparse()}, r"other_inputs must be a dense tensor .*sparse_coo"),
        ({"other_inputs": torch.zeros(9, 3)}, r"other_inputs must be torch.float32 .*\(2,\) as .*float32 with \(3,\)"),
        ({"other_inputs": torch.zeros(9, 1)}, r"other_inputs must be .* with \(1,\)"),
        ({"other_inputs": torch.zeros(9)}, r"other_inputs must be .* with \(\)"),
        ({"other_inputs": torch.zeros(9, 2).double()}, r"other_inputs must be torch.float32 .* got torch.float64"),
        ({"other_inputs": torch.zeros(1, 2)}, r"other_inputs must be at least 2, 0\.5 of 4 inputs, got 1"),
        ({"rate": 1.5}, r"rate must be a fraction within \[0, 1\], got 1.5"),
        ({"rate": math.nan}, "rate must be a fraction"),
        ({"rate": "0.4"}, "rate"),
        ({"generator": None}, "generator"),
        ({"generator": 0}, "generator"),
    ],
)
def test_bad_input(changed, message):
    good = {"inputs": torch.zeros(4, 2), "labels": torch.arange(4), "other_inputs": torch.ones(9, 2), "rate": 0.5}
    with pytest.raises((ValueError, TypeError), match=message):
        open_set(**{**good, "generator": seeded(0), **changed})
