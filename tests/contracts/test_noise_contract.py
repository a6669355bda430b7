"""What every exported noise model keeps, whatever it draws. A new model is covered by its export line."""

import inspect

import pytest
import torch

from labelnoise import noise
from labelnoise.testing import check_noise

# By setting, not by model: the same words mean the same thing everywhere.
SETTINGS = {
    "rate": 0.4,
    "num_classes": 10,
    "mapping": {0: 1, 1: 0, 7: 2},
    "transition": torch.rand(10, 10, generator=torch.Generator().manual_seed(0)).softmax(dim=1),
}


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def bound(name):
    """The model with every setting bound; ``features`` get one row a label."""
    known = inspect.signature(getattr(noise, name)).parameters
    model = noise.build(name, **{setting: value for setting, value in SETTINGS.items() if setting in known})
    if "features" not in known:
        return model

    def with_features(labels, *, generator):
        return model(labels, features=torch.randn(len(labels), 4, 2, generator=seeded(7)), generator=generator)

    return with_features


def num_classes_of(model):
    return len(model(torch.empty(0, dtype=torch.int64), generator=seeded(0)).transition)


@pytest.mark.parametrize("name", noise.names())
def test_contract(name):
    model = bound(name)
    check_noise(model, num_classes=num_classes_of(model))


@pytest.mark.parametrize("name", noise.names())
def test_the_generator_decides(name):
    # A public implementation always used seed 0. A generator also moves on: two calls differ.
    model, labels = bound(name), torch.arange(10).repeat(100)
    first, second = seeded(1), seeded(2)
    one, two, one_again = (model(labels, generator=generator).labels for generator in (first, second, first))
    assert not torch.equal(one, two)
    assert not torch.equal(one, one_again)


# Wrong types are the type hook's errors where the suite runs under it, and the package's own where it does not.
WRONG = (ValueError, TypeError)


@pytest.mark.parametrize("name", noise.names())
@pytest.mark.parametrize("labels", [[0.0, 1.0], [[0, 1]], [-1, 0], [0, 100]], ids=["float", "2-d", "low", "high"])
def test_bad_labels(name, labels):
    with pytest.raises(WRONG, match="labels"):
        bound(name)(torch.tensor(labels), generator=seeded(0))


@pytest.mark.parametrize("name", noise.names())
@pytest.mark.parametrize("generator", [None, 0])
def test_bad_generator(name, generator):
    with pytest.raises(WRONG, match="generator"):
        bound(name)(torch.tensor([0, 1]), generator=generator)


def breaks(change):
    """A symmetric noise whose record is then changed."""

    def broken(labels, *, generator):
        return change(noise.symmetric(labels, rate=0.4, num_classes=10, generator=generator), labels)

    return broken


def with_global_draw(record, labels):
    torch.rand(1)
    return record


def in_place(record, labels):
    labels.copy_(record.labels)
    return record


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record, labels: record._replace(labels=record.labels.int()), "int64"),
        (lambda record, labels: record._replace(flipped=~record.flipped), "flipped"),
        (lambda record, labels: record._replace(rate=0.4), "rate"),
        (lambda record, labels: record._replace(transition=record.transition.float()), "float64"),
        (lambda record, labels: record._replace(transition=record.transition * 0.9), "sum to 1"),
        (lambda record, labels: record._replace(transition=torch.eye(10, dtype=torch.float64)), "impossible"),
        (
            lambda record, labels: record._replace(transition=torch.full((10, 10), 0.1, dtype=torch.float64)),
            "not drawn",
        ),
        (lambda record, labels: record.labels, "must return a NoiseRecord, got Tensor"),
        (lambda record, labels: tuple(record), "must return a NoiseRecord, got tuple"),
        (with_global_draw, "global random state"),
        (in_place, "leave the labels"),
    ],
)
def test_check_noise_notices(change, message):
    with pytest.raises(AssertionError, match=message):
        check_noise(breaks(change), num_classes=10)


def test_check_noise_notices_a_seed_of_its_own():
    own = seeded(0)
    with pytest.raises(AssertionError, match="same seed"):
        check_noise(
            lambda labels, *, generator: noise.symmetric(labels, rate=0.4, num_classes=10, generator=own),
            num_classes=10,
        )
