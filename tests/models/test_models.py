import pytest
import torch

from labelnoise import models

SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32)]
TOO_SMALL = {("resnet18", (1, 8, 8)), ("resnet34", (1, 8, 8))}


@pytest.mark.parametrize(
    ("name", "shape"), [(name, shape) for name in models.names() for shape in SHAPES if (name, shape) not in TOO_SMALL]
)
def test_images_of_any_size_become_logits_that_train(name, shape):
    model = models.build(name, input_shape=shape, num_classes=7)
    logits = model(torch.randn(5, *shape))
    assert logits.shape == (5, 7)
    logits.logsumexp(1).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())


def test_the_mlp_has_the_layers_it_is_asked_for():
    model = models.build("mlp", input_shape=(64,), num_classes=10, hidden=(32, 16))
    assert [tuple(p.shape) for p in model.parameters() if p.ndim == 2] == [(32, 64), (16, 32), (10, 16)]


@pytest.mark.parametrize("shape", [(64,), (1, 3, 8)])
def test_lenet_refuses_what_is_no_image(shape):
    with pytest.raises(ValueError, match=r"input_shape must be \(channels, height, width\) of at least 4x4, got"):
        models.build("lenet", input_shape=shape, num_classes=2)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("lenett", {}, "unknown model 'lenett'; did you mean 'lenet'"),
        ("mlp", {"hiden": [3]}, "unknown setting of mlp 'hiden'; did you mean 'hidden'"),
        ("mlp", {"hidden": [8, 0]}, r"hidden must hold widths of at least 1, got \[8, 0\]"),
    ],
)
def test_typos_are_named(name, settings, message):
    with pytest.raises(ValueError, match=message):
        models.build(name, input_shape=(1, 8, 8), num_classes=2, **settings)
