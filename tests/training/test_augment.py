import pytest
import torch

from labelnoise.training import build_augment
from labelnoise.training.augment import pad_crop

CHI_SQUARE_99_9 = {1: 10.83, 24: 51.18, 49: 85.35}  # by degrees of freedom


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(*shape, dtype=torch.uint8):
    return torch.randint(1, 200, shape, generator=generator(9)).to(dtype)


def slow_pad_crop(inputs, generator, padding, flip):
    """One pixel at a time; only the order of the draws is shared."""
    n, _, height, width = inputs.shape
    top, left = torch.randint(2 * padding + 1, (2, n, 1), generator=generator).tolist()
    mirrored = torch.randint(2, (n, 1), generator=generator).tolist() if flip else [[0]] * n
    outputs = torch.zeros_like(inputs)
    for sample in range(n):
        for i in range(height):
            for j in range(width):
                row = i + top[sample][0] - padding
                column = (width - 1 - j if mirrored[sample][0] else j) + left[sample][0] - padding
                if 0 <= row < height and 0 <= column < width:
                    outputs[sample, :, i, j] = inputs[sample, :, row, column]
    return outputs


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(9, 1, 5, 5), (9, 3, 4, 6), (2, 3, 7, 2), (0, 3, 5, 5)])
@pytest.mark.parametrize(("padding", "flip"), [(0, True), (1, False), (2, True), (8, True)])
def test_it_equals_one_pixel_at_a_time(dtype, shape, padding, flip):
    inputs = images(*shape, dtype=dtype)
    kept = inputs.clone()
    outputs = pad_crop(inputs, generator(), padding=padding, flip=flip)
    assert outputs.dtype == dtype
    assert outputs.is_contiguous()
    assert torch.equal(outputs, slow_pad_crop(inputs, generator(), padding, flip))
    assert torch.equal(inputs, kept)


@pytest.mark.parametrize(("name", "cells"), [("crop", 25), ("crop_flip", 50)])
def test_every_place_and_mirror_image_is_equally_likely(name, cells):
    n, padding = 10_000, 2
    image = torch.zeros(1, 1, 5, 7, dtype=torch.uint8)
    image[..., 2, 3:5] = torch.tensor([1, 2])  # an arrow: where it lies tells the place, where it points the flip
    outputs = build_augment(name, padding=padding)(image.expand(n, -1, -1, -1), generator())[:, 0]
    tail = (outputs == 1).flatten(1).int().argmax(1)
    points_right = torch.roll(outputs, -1, 2).flatten(1).gather(1, tail[:, None])[:, 0] == 2
    assert (outputs == 1).sum((1, 2)).eq(1).all()
    counts = torch.stack([tail, points_right.int()], 1).unique(dim=0, return_counts=True)[1]
    assert len(counts) == cells
    expected = n / cells
    assert ((counts - expected) ** 2 / expected).sum() < CHI_SQUARE_99_9[cells - 1]


def test_rows_columns_and_samples_are_independent():
    n, padding = 10_000, 1
    inputs = torch.arange(1, 10, dtype=torch.uint8).view(1, 1, 3, 3).expand(n, -1, -1, -1)
    centre = build_augment("crop", padding=padding)(inputs, generator())[:, 0, 1, 1].long() - 1
    row, column = centre // 3 - 1.0, centre % 3 - 1.0
    for first, second in ((row, column), (row[1:], row[:-1]), (column[1:], column[:-1])):
        assert abs((first * second).mean() * 1.5) < 4 / n**0.5  # a correlation, four standard errors


@pytest.mark.parametrize("name", ["crop", "crop_flip"])
def test_a_seed_says_it_all(name):
    augment, inputs = build_augment(name), images(16, 3, 8, 8)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = augment(inputs, generator(1))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(7)
    assert torch.equal(augment(inputs, generator(1)), first)
    assert not torch.equal(augment(inputs, generator(2)), first)
    going_on = generator(1)
    augment(inputs, going_on)
    assert not torch.equal(augment(inputs, going_on), first)


def test_defaults_are_the_ones_of_the_paper():
    inputs = images(64, 3, 12, 12)
    expected = pad_crop(inputs, generator(), padding=4, flip=True)
    assert torch.equal(build_augment("crop_flip")(inputs, generator()), expected)


def test_none_is_none():
    assert build_augment("none") is None


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("crop_flp", {}, "unknown augmentation 'crop_flp'; did you mean 'crop_flip'"),
        ("crop", {"paddin": 2}, "unknown setting of crop 'paddin'; did you mean 'padding'"),
        ("crop", {"padding": -1}, "padding must be 0 or more pixels, got -1"),
        ("none", {"padding": 4}, "unknown setting of none 'padding'"),
    ],
)
def test_mistakes_are_named(name, settings, message):
    with pytest.raises(ValueError, match=message):
        build_augment(name, **settings)


def test_what_is_no_image_is_refused():
    with pytest.raises(ValueError, match=r"inputs must be images \(n, c, h, w\), got shape \(4, 64\)"):
        build_augment("crop")(images(4, 64), generator())
