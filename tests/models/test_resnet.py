import pytest
import torch
from torch import nn

from labelnoise import models
from labelnoise.models._blocks import BasicBlock


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(("name", "depth", "count"), [("resnet18", 18, 11_173_962), ("resnet34", 34, 21_282_122)])
def test_layers_and_parameters_are_the_published_ones(name, depth, count):
    model = models.build(name, input_shape=(3, 32, 32), num_classes=10)
    kernels = [layer.kernel_size for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    assert kernels.count((3, 3)) + 1 == depth
    assert kernels.count((1, 1)) == 3
    assert parameters(model) == count


def test_resnet34_maps_shrink_from_the_second_stage_on():
    model = models.resnet34((3, 32, 32), num_classes=100).eval()
    shapes = []
    for stage in model.stages:
        stage.register_forward_hook(lambda module, inputs, output: shapes.append(tuple(output.shape[1:])))
    with torch.inference_mode():
        logits = model(torch.randn(1, 3, 32, 32))
    assert shapes == [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4)]
    assert logits.shape == (1, 100)


def test_a_block_whose_residual_is_zero_passes_its_input_on():
    block = BasicBlock(4, 4, stride=1)
    nn.init.zeros_(block.residual[-1].weight)
    inputs = torch.randn(2, 4, 5, 6)
    kept = inputs.clone()
    torch.testing.assert_close(block(inputs), kept.relu(), rtol=0, atol=0)
    torch.testing.assert_close(inputs, kept, rtol=0, atol=0)


def test_a_block_is_what_its_formula_says():
    block = BasicBlock(3, 6, stride=2).eval()
    for layer in block.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight), nn.init.normal_(layer.bias)
            layer.running_mean.normal_(), layer.running_var.uniform_(0.5, 2)
    inputs = torch.randn(2, 3, 7, 8)

    def convolve(conv, bn, x, padding):
        x = torch.nn.functional.conv2d(x, conv.weight, stride=conv.stride, padding=padding)
        scale = bn.weight / (bn.running_var + bn.eps).sqrt()
        return (x - bn.running_mean[:, None, None]) * scale[:, None, None] + bn.bias[:, None, None]

    first, first_bn, _, second, second_bn = block.residual
    residual = convolve(second, second_bn, convolve(first, first_bn, inputs, 1).relu(), 1)
    expected = (residual + convolve(*block.shortcut, inputs, 0)).relu()
    assert expected.shape == (2, 6, 4, 4)
    torch.testing.assert_close(block(inputs), expected)


def test_the_last_batch_may_hold_one_sample_from_the_least_size_up():
    logits = models.resnet18((1, 9, 9), num_classes=3)(torch.randn(1, 1, 9, 9))
    logits.logsumexp(1).sum().backward()
    assert logits.isfinite().all()


@pytest.mark.parametrize("name", ["resnet18", "resnet34"])
@pytest.mark.parametrize("shape", [(64,), (1, 8, 8), (3, 32, 8)])
def test_what_is_no_image_or_too_small_is_refused(name, shape):
    with pytest.raises(ValueError, match=r"input_shape must be \(channels, height, width\) of at least 9x9, got"):
        models.build(name, input_shape=shape, num_classes=2)
