"""Several multilayer perceptrons of one size as one: each layer is one batched matrix product."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from labelnoise.models.mlp import MLP


class StackedMLP(nn.Module):
    """The networks of a stack, each on its own inputs: (m, n, ..) -> logits (m, n, k), m being their number.

    Every network gives the bits it gives in a stack of any other size, which are those of the :class:`MLP` itself but
    for rounding: a batched product adds up in its own order.

    >>> networks = [MLP((8,), 3, hidden=(4,)), MLP((8,), 3, hidden=(4,))]
    >>> inputs = torch.ones(2, 5, 8)
    >>> logits = StackedMLP(networks)(inputs)
    >>> torch.allclose(logits[1], networks[1](inputs[1]), atol=1e-6)
    True

    Raises:
        ValueError: networks of different sizes.
    """

    def __init__(self, networks: Sequence[MLP]) -> None:
        super().__init__()
        sizes = {tuple(parameter.shape for parameter in network.parameters()) for network in networks}
        if len(sizes) != 1:
            raise ValueError(f"networks must be of one size, got {len(sizes)} different ones")
        layers = zip(*(network.parameters() for network in networks), strict=True)  # weight, bias, weight, ..
        self.layers = nn.ParameterList([torch.stack(same).detach() for same in layers])

    def forward(self, inputs: Float[Tensor, "m n *shape"]) -> Float[Tensor, "m n k"]:
        hidden = inputs.flatten(2)
        layers = list(self.layers)
        for weight, bias in zip(layers[::2], layers[1::2], strict=True):
            if weight is not layers[0]:
                hidden = hidden.relu()
            hidden = torch.baddbmm(bias[:, None], hidden, weight.transpose(1, 2))
        return hidden

    @torch.no_grad()
    def write_to(self, network: MLP, i: int) -> None:
        """Give ``network`` the weights of the ``i``-th."""
        for parameter, layer in zip(network.parameters(), self.layers, strict=True):
            parameter.copy_(layer[i])
