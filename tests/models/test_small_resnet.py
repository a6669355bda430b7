import pytest
import torch
from torch import nn

from labelnoise import models


def build(shape=(3, 32, 32), **settings):
    return models.build("resnet", input_shape=shape, num_classes=10, **settings)


def convolutions(model, size):
    return [layer for layer in model.modules() if isinstance(layer, nn.Conv2d) and layer.kernel_size == (size, size)]


@pytest.mark.parametrize(
    ("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85), (110, 1.7)]
)  # He et al. 2016, table 6
def test_without_the_projections_parameters_are_those_of_the_paper(depth, millions):
    model = build(depth=depth)
    projections = 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64
    count = sum(parameter.numel() for parameter in model.parameters()) - projections
    assert round(count / 1e6, len(str(millions)) - 2) == millions


def test_resnet20_has_the_known_number_of_parameters():
    assert sum(parameter.numel() for parameter in build().parameters()) == 272_474


@pytest.mark.parametrize("depth", [8, 14, 20])
@pytest.mark.parametrize("width", [1, 16, 20])
def test_depth_and_width_are_the_ones_asked_for(depth, width):
    model = build(depth=depth, width=width)
    assert len(convolutions(model, 3)) + 1 == depth
    assert [layer.out_channels for layer in convolutions(model, 1)] == [2 * width, 4 * width]
    assert [stage[-1].residual[-1].num_features for stage in model.stages] == [width, 2 * width, 4 * width]


@pytest.mark.parametrize("size", [(5, 5), (5, 9)])
def test_the_last_batch_may_hold_one_sample_from_the_least_size_up(size):
    logits = build((2, *size), depth=8, width=4)(torch.randn(1, 2, *size))
    logits.logsumexp(1).sum().backward()
    assert logits.isfinite().all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"depth": 18}, r"depth must be 6n \+ 2 \(8, 14, 20, ..\), got 18"),
        ({"depth": 2}, "depth must be .*, got 2"),
        ({"width": 0}, "width must be at least 1, got 0"),
        ({"shape": (3, 4, 32)}, r"of at least 5x5, got \(3, 4, 32\)"),
        ({"shape": (64,)}, r"of at least 5x5, got \(64,\)"),
        ({"dept": 8}, "unknown setting of resnet 'dept'; did you mean 'depth'"),
    ],
)
def test_mistakes_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        build(**settings)
