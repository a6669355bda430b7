"""torch.compile takes every loss as one graph and changes nothing. Run without jaxtyping's hook, which breaks it."""

import shutil

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from labelnoise import losses
from labelnoise.losses import _fused

# dynamo makes an instance of every autograd.Function it traces, and warns of it itself (torch 2.13)
pytestmark = pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")

WEIGHT = torch.tensor([0.5, 1.0, 2.0, 0.25])


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch.compiler.reset()


def value_and_gradient(loss, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    logits = logits.clone().requires_grad_()
    value = loss(logits, labels)
    return value.detach(), torch.autograd.grad(value, logits)[0]


def batch(*, soft: bool = False) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits, others = 3 * torch.randn(2, 6, 4, generator=generator)
    return logits, others.softmax(1) if soft else torch.tensor([0, 1, -100, 3, 2, 1])


@pytest.mark.parametrize("name", losses.names())
@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
@pytest.mark.parametrize(
    ("dtype", "settings"), [(torch.float32, {}), (torch.bfloat16, {"weight": WEIGHT, "label_smoothing": 0.1})]
)
def test_one_graph_and_the_same_bits(name, required, soft, dtype, settings):
    logits, labels = batch(soft=soft)
    loss = losses.build(name, **required(name, 4), **settings)
    # aot_eager runs the traced operations one by one, so nothing may differ, not even by rounding
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    wanted = value_and_gradient(loss, logits.to(dtype), labels)
    assert_close(value_and_gradient(compiled, logits.to(dtype), labels), wanted, rtol=0, atol=0)


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method`:DeprecationWarning")  # inductor's own imports
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
def test_inductor():
    logits, labels = batch()
    loss = losses.build("truncated_gce", weight=WEIGHT)
    compiled = torch.compile(loss, fullgraph=True)
    # float32, whose sums and exponentials inductor fuses and reorders: a few ulp of 1.2e-7
    wanted = value_and_gradient(loss, logits, labels)
    assert_close(value_and_gradient(compiled, logits, labels), wanted, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_large_logits_are_one_graph_too(dtype, monkeypatch):
    """Compiled, a loss goes the plain way at every size, and gives what the fused one gives but for rounding."""
    logits, labels = batch()
    monkeypatch.setattr(_fused, "FUSED_FROM", 1)
    compiled = torch.compile(losses.GCELoss(), fullgraph=True, backend="aot_eager")
    got = value_and_gradient(compiled, logits.to(dtype), labels)
    fused = value_and_gradient(losses.GCELoss(), logits.to(dtype), labels)
    monkeypatch.undo()
    plain = value_and_gradient(losses.GCELoss(), logits.to(dtype), labels)
    assert_close(got, plain, rtol=0, atol=0)
    assert_close(got[0], fused[0], rtol=1e-6, atol=0)
    assert_close(got[1], fused[1], rtol=2 * 2**-8 if dtype is torch.bfloat16 else 2e-6, atol=1e-7)


def test_one_q_a_sample():
    logits, labels = batch()
    q = torch.tensor([0.0, 0.1, 0.4, 0.7, 1.0, 2.0])
    compiled = torch.compile(losses.gce_loss, fullgraph=True, backend="aot_eager")
    wanted = value_and_gradient(lambda logits, labels: losses.gce_loss(logits, labels, q), logits, labels)
    got = value_and_gradient(lambda logits, labels: compiled(logits, labels, q), logits, labels)
    assert_close(got, wanted, rtol=0, atol=0)


def test_linear_and_loss_are_one_graph(monkeypatch):
    hidden, labels = batch()
    weight = torch.linspace(-1, 1, 16).view(4, 4)
    compiled = torch.compile(losses.linear_gce_loss, fullgraph=True, backend="aot_eager")

    def loss(function):
        return lambda hidden, labels: function(hidden, weight, labels, q=0.4)

    wanted = value_and_gradient(loss(losses.linear_gce_loss), hidden, labels)
    monkeypatch.setattr(_fused, "FUSED_FROM", 1)
    assert_close(value_and_gradient(loss(compiled), hidden, labels), wanted, rtol=0, atol=0)
