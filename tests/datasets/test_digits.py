import pytest
import torch

from labelnoise import datasets


def test_digits_are_all_there_once():
    data = datasets.load("digits")
    index = torch.cat([data.train.index, data.test.index])
    assert torch.equal(index.sort().values, torch.arange(1797))
    assert data.train.inputs.shape == (1437, 1, 8, 8)
    assert data.test.inputs.shape == (360, 1, 8, 8)
    assert set(data.train.labels.tolist()) == set(data.test.labels.tolist()) == set(range(len(data.class_names)))
    # Standardised by the training pixels; a float32 mean of 92,000 values.
    assert data.train.inputs.mean().item() == pytest.approx(0, abs=1e-5)
    assert data.train.inputs.std().item() == pytest.approx(1, abs=1e-5)


def test_the_checksum_sees_every_part():
    data = datasets.load("digits")
    assert data.checksum == datasets.load("digits").checksum
    for field in ("inputs", "labels", "index"):
        tensor = getattr(data.test, field).clone()
        tensor.view(-1)[-1] += 1
        assert data._replace(test=data.test._replace(**{field: tensor})).checksum != data.checksum


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(ValueError, match="unknown data set 'digit'; did you mean 'digits'"):
        datasets.load("digit")
