from functools import partial
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.testing import assert_close

from labelnoise.losses import cce_loss, gce_loss

K = 4
WEIGHT = torch.tensor([0.5, 1.0, 2.0, 0.25], dtype=torch.float64)


def value_and_gradient(loss, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    logits = logits.clone().requires_grad_()
    value = loss(logits, labels)
    return value.detach(), torch.autograd.grad(value, logits, torch.ones_like(value))[0]


@pytest.mark.parametrize("loss", [cce_loss, partial(gce_loss, q=0.0)], ids=["cce", "gce at q = 0"])
@pytest.mark.parametrize("shape", [(K,), (3, K), (3, K, 2), (2, K, 3, 2)], ids=str)
@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
def test_drop_in_for_torchs_cross_entropy(loss, shape, soft):
    generator = torch.Generator().manual_seed(0)
    logits, others = 3 * torch.randn(2, *shape, generator=generator, dtype=torch.float64)
    class_dim = min(1, len(shape) - 1)
    labels = others.softmax(class_dim) if soft else others.argmax(class_dim)
    # all labels ignored is 0/0 in torch; test_loss_contract.py holds what it is here
    ignored = [-100] if soft or class_dim == 0 else [-100, int(labels.flatten()[0])]
    for arguments in product([None, WEIGHT], ignored, ["none", "mean", "sum"], [0.0, 0.1, 1.0]):
        options = dict(zip(["weight", "ignore_index", "reduction", "label_smoothing"], arguments, strict=True))
        got = value_and_gradient(partial(loss, **options), logits, labels)
        wanted = value_and_gradient(nn.CrossEntropyLoss(**options), logits, labels)
        # float64 sums of two dozen terms in another order
        assert_close(got, wanted, rtol=1e-12, atol=1e-14, msg=lambda m, o=options: f"{o}: {m}")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_float32_of_the_same_logits(dtype):
    logits = torch.randn(16, K, generator=torch.Generator().manual_seed(0)).to(dtype)
    labels = torch.arange(16) % K
    value, gradient = value_and_gradient(cce_loss, logits, labels)
    wanted, wanted_gradient = value_and_gradient(F.cross_entropy, logits.float(), labels)
    # one and the same float32 arithmetic, summed in another order: a few ulp of 6e-8; the gradient is then rounded once
    assert_close(value, wanted, rtol=1e-6, atol=0)
    assert_close(gradient, wanted_gradient.to(dtype), rtol=torch.finfo(dtype).eps, atol=1e-7)


def test_impossible_label_is_infinite_as_in_torch():
    logits = torch.tensor([[-torch.inf, 0.0, 1.0]])
    value, gradient = value_and_gradient(cce_loss, logits, torch.tensor([0]))
    assert value == torch.inf
    assert_close(gradient, torch.tensor([[-1.0, *torch.tensor([0.0, 1.0]).softmax(0)]]))
