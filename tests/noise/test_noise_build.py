import pytest
import torch

from labelnoise import noise


def test_every_model_is_listed_and_exported():
    others = {"NoiseRecord", "OpenSetRecord", "build", "names", "open_set", "settings_of"}
    assert noise.names() == sorted(set(noise.__all__) - others)


def test_built_is_the_function_with_its_settings_bound():
    labels, seed = torch.arange(10).repeat(50), 3
    built = noise.build("symmetric", rate=0.4, num_classes=10)(labels, generator=torch.Generator().manual_seed(seed))
    called = noise.symmetric(labels, rate=0.4, num_classes=10, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(built.labels, called.labels)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("cifar_map", {}, "unknown noise model 'cifar_map'; did you mean 'cifar10_map'"),
        ("symmetric", {"rates": 0.4}, r"unknown setting of symmetric 'rates'; did you mean 'rate'\? \(one of: num_cl"),
        ("symmetric", {"generator": 0}, "unknown setting of symmetric 'generator'"),
        ("cifar10_map", {"num_classes": 10}, r"unknown setting of cifar10_map 'num_classes' \(one of: rate\)"),
        ("symmetric", {"rate": 1.5}, r"rate must be a fraction within \[0, 1\], got 1.5"),
        ("pair_flip", {"num_classes": "ten"}, "num_classes must be an int of at least 2, got 'ten'"),
    ],
)
def test_bad_recipes_fail_before_they_meet_data(name, settings, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        noise.build(name, **settings)
