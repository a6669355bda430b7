import pytest
import torch
from noisy_data import own_code

from labelnoise.fitting import build_network, build_objective, default_recipe
from labelnoise.fitting.recipe import default_epochs
from labelnoise.objectives import PrunedLoss
from labelnoise.runs import Part
from labelnoise.training import fabric


def recipe(kind, *, model="auto", samples=1000, device="cpu", side=32):
    return default_recipe(kind, model, samples=samples, device=device, side=side)


def test_each_kind_has_its_network():
    assert [recipe(kind).model.name for kind in ("table", "text", "features")] == ["mlp"] * 3
    assert recipe("image").model.name == "resnet"
    assert recipe("image", device="cuda").model.name == "resnet18"
    tiny = recipe("image", device="cuda", side=8)
    assert build_network(tiny.model, (1, 8, 8), 10)(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    assert recipe("text", model="lenet").model.name == "lenet"
    with pytest.raises(ValueError, match="did you mean 'mlp'"):
        recipe("text", model="mpl")


def test_images_are_cropped_and_nothing_else_is():
    assert recipe("image").augment is not None
    assert recipe("table").augment is None


def test_only_networks_of_images_train_in_bfloat16_and_only_where_they_gain(monkeypatch):
    for gains in (True, False):
        monkeypatch.setattr(fabric, "_gains_by_bfloat16", lambda _, gains=gains: gains)
        assert recipe("image").precision == ("bf16-mixed" if gains else "32-true")
        assert recipe("table").precision == "32-true"


def test_more_samples_take_fewer_epochs_and_never_none():
    epochs = [default_epochs(samples, recipe("text", samples=samples)) for samples in (10, 10_000, 100_000, 10**7)]
    assert epochs == sorted(epochs, reverse=True)
    assert epochs[0] > epochs[1] > epochs[2] == epochs[3] > 0


@pytest.mark.parametrize("epochs", [2, 3, 8, 60])
def test_pruning_starts_half_way_and_within_the_training(epochs):
    objective = build_objective(Part(name="pruned_gce"), epochs=epochs, num_samples=5, class_names=("a", "b"))
    assert isinstance(objective, PrunedLoss)
    assert 0 < objective.warmup == epochs // 2 < epochs


def test_weights_come_from_the_seed_alone():
    first, second, other = (build_network(Part(name="mlp"), (3,), 2, seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_images_are_normalised_by_the_network():
    images = torch.randint(256, (20, 1, 8, 8), dtype=torch.uint8)
    normalised = build_network(Part(name="lenet"), (1, 8, 8), 2, images=images)[0](images)
    assert normalised.mean().abs() < 1e-5


def test_the_users_own_network_is_built_for_the_data(tmp_path):
    network = build_network(Part(name=f"{own_code(tmp_path)}:linear"), (1, 4, 4), 3)
    assert network.training
    assert network(torch.zeros(5, 1, 4, 4)).shape == (5, 3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("narrow", r"logits must be of shape \(n, 3\), got \(2, 1\)"),
        ("broken", "RuntimeError: boom"),
        ("no_module", "must return a torch.nn.Module, got int"),
        ("Loss", "unexpected keyword argument"),
        ("nothing", "must define 'nothing'"),
    ],
)
def test_a_network_that_does_not_fit_is_refused_before_the_training(tmp_path, name, message):
    with pytest.raises(ValueError, match=message):
        build_network(Part(name=f"{own_code(tmp_path)}:{name}"), (4,), 3)
