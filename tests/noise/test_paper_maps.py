import math

import pytest
import torch

from labelnoise.noise import cifar10_map, cifar100_circular, cifar100_superclass, fashion_mnist_map, pair_flip
from labelnoise.noise.paper_maps import CIFAR100_SUPERCLASS, CIFAR100_SUPERCLASSES

CIFAR10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
FASHION_MNIST = ["top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"]


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("model", "names", "flips"),
    [
        (cifar10_map, CIFAR10, "truck-automobile bird-airplane deer-horse cat-dog dog-cat"),
        (fashion_mnist_map, FASHION_MNIST, "boot-sneaker sneaker-sandal pullover-shirt coat-dress dress-coat"),
    ],
)
def test_the_maps_by_the_names_of_the_classes(model, names, flips):
    noisy = model(torch.arange(10), rate=1.0, generator=seeded(0)).labels
    happened = {f"{names[true]}-{names[wrong]}" for true, wrong in enumerate(noisy.tolist()) if true != wrong}
    assert happened == set(flips.split())


@pytest.mark.parametrize(
    ("model", "num_classes", "share"),
    [(cifar10_map, 10, 0.5), (fashion_mnist_map, 10, 0.5), (cifar100_circular, 100, 1), (cifar100_superclass, 100, 1)],
)
@pytest.mark.parametrize("rate", [0.1, 0.4])
def test_the_overall_rate_on_balanced_labels(model, num_classes, share, rate):
    labels = torch.arange(num_classes).repeat(100_000 // num_classes)
    expected = rate * share
    # Flips at different rates vary less than flips at their mean rate, so the binomial bound holds.
    allowed = 5 * math.sqrt(expected * (1 - expected) / len(labels))
    assert abs(model(labels, rate=rate, generator=seeded(0)).rate - expected) <= allowed


def test_circular_is_the_pair_flip_of_a_hundred_classes():
    labels = torch.arange(100).repeat(10)
    circular = cifar100_circular(labels, rate=0.3, generator=seeded(0))
    pair = pair_flip(labels, rate=0.3, num_classes=100, generator=seeded(0))
    assert torch.equal(circular.labels, pair.labels)
    assert torch.equal(circular.transition, pair.transition)


def test_twenty_superclasses_of_five_part_the_hundred_classes():
    assert [len(group) for group in CIFAR100_SUPERCLASSES] == [5] * 20
    assert sorted(fine for group in CIFAR100_SUPERCLASSES for fine in group) == list(range(100))


def test_superclass_flips_stay_inside_and_leave_no_class_in_place():
    group_of = {fine: coarse for coarse, group in enumerate(CIFAR100_SUPERCLASSES) for fine in group}
    noisy = cifar100_superclass(torch.arange(100), rate=1.0, generator=seeded(0)).labels.tolist()
    assert sorted(noisy) == list(range(100))
    assert all(true != wrong and group_of[true] == group_of[wrong] for true, wrong in enumerate(noisy))


def test_superclasses_are_cycles_of_five():
    for start in range(100):
        orbit = [start]
        while (following := CIFAR100_SUPERCLASS[orbit[-1]]) != start:
            orbit.append(following)
        assert len(orbit) == 5


def test_superclasses_are_semantic_not_blocks_of_indices():
    # Known by sight: apple 0, mushroom 51, orange 53, pear 57, sweet pepper 83; maple 47 to willow 96 are the trees.
    assert (0, 51, 53, 57, 83) in CIFAR100_SUPERCLASSES
    assert (47, 52, 56, 59, 96) in CIFAR100_SUPERCLASSES
    assert (0, 1, 2, 3, 4) not in CIFAR100_SUPERCLASSES
