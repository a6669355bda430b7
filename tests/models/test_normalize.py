import pytest
import torch
from torch import nn

from labelnoise.models import Normalize

EPS = torch.finfo(torch.float32).eps


def images(*shape, seed=0):
    return torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(5, 1, 4, 7), (3, 3, 8, 8), (0, 3, 8, 8)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64, torch.float16])
def test_the_result_is_the_formula_in_float32(shape, dtype):
    mean, std = [0.5, 0.4, 0.3][: shape[1]], [0.2, 0.3, 0.4][: shape[1]]
    inputs = images(*shape) if dtype == torch.uint8 else (images(*shape) / 255).to(dtype)
    kept = inputs.clone()
    unit = inputs.double() / 255 if dtype == torch.uint8 else inputs.double()
    expected = torch.stack([(unit[:, c] - mean[c]) / std[c] for c in range(shape[1])], 1)
    outputs = Normalize(mean, std)(inputs)
    assert outputs.dtype == torch.float32
    # Six roundings (mean, std, scale, shift, product, sum) of values up to 1 / min(std) = 5.
    torch.testing.assert_close(outputs.double(), expected, rtol=0, atol=6 * 5 * EPS)
    assert torch.equal(inputs, kept)


def test_memory_format_and_gradient_pass_through():
    layer = Normalize([0.5], [0.25])
    inputs = torch.randn(2, 1, 4, 4, requires_grad=True)
    layer(inputs).sum().backward()
    assert torch.equal(inputs.grad, torch.full_like(inputs, 4))
    last = images(2, 3, 4, 4).to(memory_format=torch.channels_last)
    assert Normalize([0.5] * 3, [0.25] * 3)(last).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("shape", [(50, 3, 8, 6), (2, 2, 400, 400), (1, 1, 2, 2)])  # one piece, many, the least
def test_fit_gives_every_channel_mean_0_and_variance_1(dtype, shape):
    inputs = images(*shape) // torch.arange(1, shape[1] + 1, dtype=torch.uint8)[:, None, None]
    inputs = inputs if dtype == torch.uint8 else inputs.float() * 7 + 1e4
    unit = inputs.double() / (255 if dtype == torch.uint8 else 1)
    layer = Normalize.fit(inputs)
    torch.testing.assert_close(layer.mean, unit.mean((0, 2, 3)).float())
    torch.testing.assert_close(layer.std, unit.std((0, 2, 3), correction=0).float())
    if dtype == torch.uint8:
        outputs = layer(inputs).double()
        torch.testing.assert_close(outputs.mean((0, 2, 3)), torch.zeros(shape[1]).double(), rtol=0, atol=1e-6)
        torch.testing.assert_close(outputs.var((0, 2, 3), correction=0), torch.ones(shape[1]).double())


def test_fit_never_holds_a_float_copy_of_everything():
    inputs = images(4000, 3, 16, 16)
    Normalize.fit(inputs[:10])
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        Normalize.fit(inputs)
    largest = max(event.self_cpu_memory_usage for event in profile.events())
    assert 0 < largest <= 8 * 2**18 < inputs.numel()


def test_statistics_travel_with_the_weights():
    fitted = nn.Sequential(Normalize.fit(images(20, 3, 4, 4)), nn.Conv2d(3, 2, 1))
    other = nn.Sequential(Normalize([0.0] * 3, [1.0] * 3), nn.Conv2d(3, 2, 1))
    other.load_state_dict(fitted.state_dict())
    inputs = images(2, 3, 4, 4, seed=1)
    assert torch.equal(other(inputs), fitted(inputs))
    assert not list(fitted[0].parameters())
    assert fitted.double()(inputs).dtype == torch.float64


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        ([], [], "mean and std must hold one value a channel, got 0 and 0"),
        ([0.5], [0.1, 0.2], "mean and std must hold one value a channel, got 1 and 2"),
        ([0.5], [0.0], r"mean must be finite and std above 0, got mean \[0.5\] and std \[0.0\]"),
        ([float("nan")], [1.0], "mean must be finite"),
        ([0.0], [float("inf")], "mean must be finite"),
    ],
)
def test_impossible_statistics_are_refused(mean, std, message):
    with pytest.raises(ValueError, match=message):
        Normalize(mean, std)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (images(2, 1, 4, 4), r"inputs must be images \(n, 3, h, w\), got shape \(2, 1, 4, 4\)"),
        (images(2, 48), r"inputs must be images \(n, 3, h, w\), got shape \(2, 48\)"),
        (images(2, 3, 4, 4).long(), "inputs must be uint8 or floating point, got torch.int64"),
    ],
)
def test_impossible_inputs_are_refused(inputs, message):
    with pytest.raises(ValueError, match=message):
        Normalize([0.0] * 3, [1.0] * 3)(inputs)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (images(0, 3, 4, 4), r"inputs must be images \(n, c, h, w\), got shape \(0, 3, 4, 4\)"),
        (images(8, 64), r"inputs must be images \(n, c, h, w\), got shape \(8, 64\)"),
        (torch.full((3, 1, 7, 5), 100, dtype=torch.uint8), "inputs must vary in every channel, got one .* 1 of them"),
        (torch.stack([torch.rand(5, 4, 4), torch.full((5, 4, 4), 0.1)], 1), "must vary in every channel"),
        (torch.full((1, 1, 2, 2), torch.nan), "mean must be finite"),
        (torch.zeros(2, 1, 4, 4, dtype=torch.bool), "inputs must be uint8 or floating point, got torch.bool"),
    ],
)
def test_fit_refuses_what_has_no_statistics(inputs, message):
    with pytest.raises(ValueError, match=message):
        Normalize.fit(inputs)
