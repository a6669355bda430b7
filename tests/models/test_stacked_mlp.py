import pytest
import torch

from labelnoise.models import MLP, StackedMLP


def networks(number, hidden=(7, 5)):
    torch.manual_seed(0)
    return [MLP((2, 3), 4, hidden=hidden) for _ in range(number)]


@pytest.mark.parametrize("hidden", [(), (7,), (7, 5)])
def test_every_network_answers_as_it_does_alone(hidden):
    alone = [network.double() for network in networks(3, hidden)]
    inputs = torch.randn(3, 6, 2, 3, dtype=torch.float64)
    together = StackedMLP(alone)(inputs)
    for network, own, logits in zip(alone, inputs, together, strict=True):
        torch.testing.assert_close(logits, network(own), rtol=0, atol=1e-14)


def test_weights_come_back_as_they_went_in():
    first, second = networks(2)
    stack = StackedMLP([first, second])
    (empty,) = networks(1, (7, 5))
    stack.write_to(empty, 1)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(empty.parameters(), second.parameters(), strict=True))


def test_the_stack_does_not_train_the_networks_it_was_made_of():
    alone = networks(2)
    stack = StackedMLP(alone)
    with torch.no_grad():
        for parameter in stack.parameters():
            parameter.zero_()
    assert all(network(torch.ones(1, 2, 3)).abs().sum() > 0 for network in alone)


def test_networks_of_different_sizes_are_refused():
    with pytest.raises(ValueError, match="of one size, got 2 different ones"):
        StackedMLP([*networks(1, (7,)), *networks(1, (5,))])
    with pytest.raises(ValueError, match="of one size, got 0"):
        StackedMLP([])
