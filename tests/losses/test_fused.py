"""The path of large logits: the same contract and numbers, and never a wrong answer, whatever autograd asks for."""

from functools import partial
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad, graph
from torch.func import grad, hessian, jacrev, jvp, vmap
from torch.testing import assert_close
from torch.utils.checkpoint import checkpoint

from labelnoise import losses
from labelnoise.losses import _fused, gce_loss
from labelnoise.testing import check_loss

K = 6
SHAPES = [(9, K), (3, K, 8), (2, K, 3, 5), (1, K, 40)]
NAMES = ["cce", "gce", "mae", "truncated_gce"]
WEIGHT = torch.tensor([0.5, 1.0, 2.0, 0.25, 3.0, 1.5])
DTYPES = [torch.float32, torch.bfloat16, torch.float16]


def batch(shape: tuple[int, ...] = (9, K), dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = (3 * torch.randn(shape, generator=generator)).to(dtype)
    labels = torch.randint(shape[1], shape[:1] + shape[2:], generator=generator)
    labels.view(-1)[2] = -100
    return logits.requires_grad_(), labels


def is_fused(loss: Tensor) -> bool:
    nodes, seen = [loss.grad_fn], set()
    while nodes:
        node = nodes.pop()
        if node is not None and node not in seen:
            seen.add(node)
            nodes += [following for following, _ in node.next_functions]
    return any(type(node).__name__ == "_CrossEntropyBackward" for node in seen)


def gradient(loss: Tensor, logits: Tensor, **options) -> Tensor:
    return torch.autograd.grad(loss, logits, **options)[0]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("fused")
def test_public_check(name):
    loss = losses.build(name, reduction="none")
    assert is_fused(loss(*batch()))
    check_loss(loss)


# Float32 to float64: some ten roundings on logits of at most 12, 2e-6. The gradient in half precision is rounded as
# softmax - one_hot and as the result, each to 2^-8 (bfloat16) or 2^-11, of which the largest element tells all.
@pytest.mark.parametrize(
    ("dtype", "budget"), [(torch.float32, 2e-6), (torch.bfloat16, 2.1 * 2**-8), (torch.float16, 2.1 * 2**-11)]
)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("fused")
def test_equals_float64_with_every_argument(name, shape, dtype, budget):
    logits, labels = batch(shape, dtype)
    exact_logits = logits.detach().double().requires_grad_()
    for weight, ignore_index, reduction in product([None, WEIGHT], [-100, 1], ["none", "mean", "sum"]):
        labels = labels.where(labels != -100, ignore_index)
        loss = losses.build(name, weight=weight, ignore_index=ignore_index, reduction=reduction)
        value, exact = loss(logits, labels), loss(exact_logits, labels)
        assert is_fused(value)
        assert not is_fused(exact)
        assert_close(value.double(), exact, rtol=2e-6, atol=2e-6)
        factors = torch.arange(1.0, value.numel() + 1).view_as(value)
        got = gradient(value, logits, grad_outputs=factors)
        wanted = gradient(exact, exact_logits, grad_outputs=factors.double())
        assert got.dtype == dtype
        # p - one_hot cancels where p is near 1, as it does in cross entropy: 1e-7 of what multiplies it, here up to 100
        errors = (got.double() - wanted).abs() - budget * wanted.abs().amax(1, keepdim=True)
        assert errors.max() <= 2e-7 * 3 * (factors.max() if reduction == "none" else 1)
        labels = labels.where(labels != ignore_index, -100)


@pytest.mark.usefixtures("fused")
def test_value_of_every_layout_of_the_logits():
    logits, labels = batch((4, K, 6, 8))
    wanted = gradient(gce_loss(logits, labels), logits)
    for stored in (
        logits.detach().contiguous(memory_format=torch.channels_last),
        logits.detach().transpose(2, 3).contiguous().transpose(2, 3),
        logits.detach().repeat_interleave(2, dim=3)[..., ::2],
    ):
        leaf = stored.requires_grad_()
        assert not leaf.is_contiguous()
        assert torch.equal(gradient(gce_loss(leaf, labels), leaf), wanted)


def test_tiles_change_no_bit(monkeypatch):
    logits, labels = batch((40, K))
    monkeypatch.setattr(_fused, "FUSED_FROM", 1)
    results = []
    for tile in (1, K, 7 * K, 2**18):
        monkeypatch.setattr(_fused, "_TILE", tile)
        value = gce_loss(logits, labels, reduction="none")
        results.append((value.detach(), gradient(value.sum(), logits)))
    for value, of_logits in results:
        assert torch.equal(value, results[0][0])
        assert torch.equal(of_logits, results[0][1])


def test_from_the_size_on_and_one_buffer_of_it_is_kept():
    """At the real size: what waits for the backward is one tensor as large as the logits, and no other."""
    kept: list[Tensor] = []
    logits, labels = batch((512, 8192), torch.bfloat16)
    with graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        loss = gce_loss(logits, labels)
    assert logits.numel() == _fused.FUSED_FROM
    assert is_fused(loss)
    large = [tensor for tensor in kept if tensor.numel() > 10 * len(logits)]
    assert [(tensor.shape, tensor.dtype) for tensor in large] == [(logits.shape, torch.bfloat16)]
    assert not is_fused(gce_loss(logits[:-1], labels[:-1]))


def as_now(logits: Tensor, labels: Tensor, q: float) -> Tensor:
    """The loss of the recorded studies, operation by operation."""
    cross_entropy = F.cross_entropy(logits.float(), labels, reduction="none")
    slope = torch.exp(cross_entropy * -q) / -q
    values = torch.expm1(cross_entropy.detach() * -q) / -q + (slope - slope.detach())
    values = values * (labels != -100).float() if (labels == -100).any() else values
    return values.sum() / (labels != -100).float().sum()


@pytest.mark.parametrize("shape", [(128, 10), (1024, 100), (4096, 1000)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_small_batches_keep_their_bits(shape, dtype):
    logits, labels = batch(shape, dtype)
    got, wanted = gce_loss(logits, labels), as_now(logits, labels, 0.7)
    assert torch.equal(got, wanted)
    assert torch.equal(gradient(got, logits), gradient(wanted, logits))


@pytest.mark.parametrize(
    "options", [{"label_smoothing": 0.1}, {"soft": True}, {"dtype": torch.float64}, {"shape": (K,)}], ids=str
)
@pytest.mark.usefixtures("fused")
def test_what_it_does_not_cover_goes_the_plain_way(options):
    logits, labels = batch(dtype=options.get("dtype", torch.float32))
    if "shape" in options:
        logits, labels = logits[0], labels[0]
    if "soft" in options:
        labels = F.one_hot(labels.clamp_min(0), K).float()
    assert not is_fused(gce_loss(logits, labels, label_smoothing=options.get("label_smoothing", 0.0)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.usefixtures("fused")
def test_without_gradient_the_values_are_the_same_bits(dtype):
    logits, labels = batch(dtype=dtype)
    wanted = gce_loss(logits, labels, reduction="none")
    for context in (torch.no_grad(), torch.inference_mode()):
        with context:
            assert torch.equal(gce_loss(logits, labels, reduction="none"), wanted)
    assert torch.equal(gce_loss(logits.detach(), labels, reduction="none"), wanted)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.usefixtures("fused")
def test_a_second_backward_is_right_where_the_graph_is_retained_and_refused_where_not(dtype):
    logits, labels = batch(dtype=dtype)
    loss = gce_loss(logits, labels)
    first = gradient(loss, logits, retain_graph=True).clone()
    again = gradient(loss, logits, grad_outputs=torch.tensor(2.0), retain_graph=True)
    assert_close(again, 2 * first, rtol=0, atol=2**-24)  # float16's last digit near 0
    loss.backward()
    assert torch.equal(logits.grad, first)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        loss.backward()


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # torch's own, in its jvp
@pytest.mark.usefixtures("fused")
def test_a_second_derivative_is_refused_and_torch_func_has_it():
    logits, labels = batch()
    with pytest.raises(RuntimeError, match=r"no second derivative .* torch.func.grad and torch.func.hessian have it"):
        gradient(gce_loss(logits, labels), logits, create_graph=True)
    logits = logits.detach()[:2]
    got = hessian(lambda z: gce_loss(z, labels[:2]))(logits)
    exact = torch.autograd.functional.hessian(lambda z: gce_loss(z, labels[:2]), logits.double())
    assert_close(got.double(), exact, rtol=1e-5, atol=1e-6)  # float32, and p - one_hot cancels


@pytest.mark.usefixtures("fused")
def test_torch_func_takes_the_plain_way():
    logits, labels = batch()
    loss = partial(gce_loss, labels=labels)
    wanted = gradient(gce_loss(logits, labels), logits)
    logits = logits.detach()
    for got in (grad(loss)(logits), jacrev(loss)(logits)):
        assert_close(got, wanted, rtol=2e-6, atol=1e-7)  # float32 in another order
    rows = vmap(grad(gce_loss))(logits, labels)
    assert_close(rows / (labels != -100).sum(), wanted, rtol=2e-6, atol=1e-7)
    per_sample = vmap(gce_loss)(logits.unsqueeze(1), labels.unsqueeze(1))
    assert_close(per_sample, gce_loss(logits, labels, reduction="none"), rtol=2e-6, atol=1e-7)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # torch's own, in its jvp
@pytest.mark.usefixtures("fused")
def test_forward_mode():
    logits, labels = batch()
    direction = torch.linspace(-1, 1, logits.numel()).view_as(logits)
    wanted = (gradient(gce_loss(logits, labels), logits) * direction).sum()
    assert_close(jvp(lambda z: gce_loss(z, labels), (logits.detach(),), (direction,))[1], wanted, rtol=0, atol=1e-6)
    with forward_ad.dual_level():
        loss = gce_loss(forward_ad.make_dual(logits.detach(), direction), labels)
        assert_close(forward_ad.unpack_dual(loss).tangent, wanted, rtol=0, atol=1e-6)  # float32 sums of 54 terms


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.usefixtures("fused")
def test_many_backwards_at_once(dtype):
    """is_grads_batched runs the backward under vmap, where nothing may be overwritten."""
    logits, labels = batch(dtype=dtype)
    values = gce_loss(logits, labels, reduction="none")
    every = torch.eye(len(values))
    one_by_one = [gradient(values, logits, grad_outputs=row, retain_graph=True) for row in every]
    batched = gradient(values, logits, grad_outputs=every, is_grads_batched=True)
    assert torch.equal(batched, torch.stack(one_by_one))


@pytest.mark.usefixtures("fused")
def test_hooks_of_all_kinds():
    logits, labels = batch()
    wanted = gradient(gce_loss(logits, labels), logits)
    seen = []
    inner = logits * 1
    inner.retain_grad()
    inner.register_hook(lambda gradient: seen.append(gradient.clone()) or 2 * gradient)
    gce_loss(inner, labels).backward()
    assert torch.equal(seen[0], wanted)
    assert torch.equal(logits.grad, 2 * wanted)
    assert torch.equal(inner.grad, 2 * wanted)
    for hooks in (
        graph.saved_tensors_hooks(lambda tensor: tensor.clone(), lambda tensor: tensor.clone()),
        graph.saved_tensors_hooks(lambda tensor: tensor, lambda tensor: tensor),
        graph.save_on_cpu(),
    ):
        with hooks:
            loss = gce_loss(logits, labels)
        assert torch.equal(gradient(loss, logits, retain_graph=True), wanted)
        assert torch.equal(gradient(loss, logits), wanted)


@pytest.mark.parametrize("use_reentrant", [False, True])
@pytest.mark.usefixtures("fused")
def test_checkpoint(use_reentrant):
    logits, labels = batch()
    wanted = gradient(gce_loss(logits, labels), logits)
    checkpoint(gce_loss, logits, labels, use_reentrant=use_reentrant).backward()
    assert torch.equal(logits.grad, wanted)


@pytest.mark.usefixtures("fused")
def test_logits_of_several_uses_and_a_loss_of_several_terms():
    logits, labels = batch()
    before = logits.detach().clone()
    exact = logits.detach().double().requires_grad_()

    def terms(logits: Tensor) -> Tensor:
        doubled = 2 * logits
        return gce_loss(doubled, labels) + 3 * losses.mae_loss(doubled, labels) + doubled.square().sum()

    terms(logits).backward()
    terms(exact).backward()
    assert_close(logits.grad.double(), exact.grad, rtol=2e-6, atol=1e-6)
    logits.grad.zero_()  # the gradient is the caller's to write on
    assert torch.equal(logits, before)


@pytest.mark.usefixtures("fused")
def test_labels_that_the_backward_needs_cannot_be_written_on():
    logits, labels = batch()
    loss = gce_loss(logits, labels)
    labels[0] = -100
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.usefixtures("fused")
def test_a_class_of_its_own_goes_the_plain_way():
    class Tagged(Tensor):
        pass

    logits, labels = batch()
    tagged = logits.detach().as_subclass(Tagged).requires_grad_()
    loss = gce_loss(tagged, labels)
    assert isinstance(loss, Tagged)
    assert not is_fused(loss)
    parameter = nn.Parameter(logits.detach())
    assert is_fused(gce_loss(parameter, labels))


@pytest.mark.usefixtures("fused")
def test_autocast():
    logits, labels = batch()
    layer = nn.Linear(K, K)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = layer(logits.detach())
        loss = gce_loss(outputs, labels)
    assert is_fused(loss)
    assert (outputs.dtype, loss.dtype) == (torch.bfloat16, torch.float32)
    assert torch.equal(loss, gce_loss(outputs.float(), labels))
    loss.backward()
    assert layer.weight.grad.any()


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float16, 2.1 * 2**-11), (torch.bfloat16, 2.1 * 2**-8)])
@pytest.mark.usefixtures("fused")
def test_small_gradients_live_until_the_scaler_multiplies_them(dtype, rtol):
    """8000 classes: softmax goes down to 5e-8, p^q to 3e-4, all times 1/4; float16 ends at 6e-8."""
    logits = torch.linspace(-5, 5, 8000).repeat(4, 1)
    labels = torch.arange(4)
    logits[labels, labels] = 0
    logits = logits.to(dtype).requires_grad_()
    exact_logits = logits.detach().double().requires_grad_()
    scale = 2.0**26
    got = gradient(scale * gce_loss(logits, labels), logits).double()
    wanted = gradient(scale * gce_loss(exact_logits, labels), exact_logits)
    assert wanted.abs().min() > 2**-14  # once it is scaled, a normal number in float16
    assert ((got - wanted).abs() <= rtol * wanted.abs()).all()


@pytest.mark.parametrize("label", [K, -1, 10**6])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.usefixtures("fused")
def test_label_out_of_range_is_refused(shape, label):
    logits, labels = batch(shape)
    labels.view(-1)[-1] = label
    with pytest.raises(ValueError, match=rf"labels must be within \[0, {K}\) or ignore_index -100: .*{label}"):
        gce_loss(logits, labels)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.usefixtures("fused")
def test_no_value_is_read_back_from_the_device(shape, reduction):
    logits, labels = batch(shape)
    logits = logits.detach().to("meta").requires_grad_()
    loss = gce_loss(logits, labels.to("meta"), weight=WEIGHT.to("meta"), reduction=reduction)
    assert is_fused(loss)
    assert gradient(loss.sum(), logits).shape == shape


@pytest.mark.usefixtures("fused")
def test_nothing_to_learn_from_is_zero_with_a_gradient():
    for dtype in DTYPES:
        logits, labels = batch(dtype=dtype)
        loss = gce_loss(logits, torch.full_like(labels, -100))
        assert loss.item() == 0
        assert not gradient(loss, logits).any()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("cross_entropy", [_fused._by_label, _fused._by_largest])
def test_cross_entropy_comes_from_the_softmax_also_where_that_is_zero(cross_entropy, shape):
    """Of a processor and, checked here as well, of an accelerator."""
    logits, labels = batch(shape)
    rows, kept = logits.detach().movedim(1, -1).reshape(-1, K), labels != -100
    rows[0] = 1e4
    rows[0, labels.flatten()[0]] = -1e4
    wide = rows.view(*labels.shape, K).movedim(-1, 1)
    softmax = wide.softmax(1)
    assert softmax.movedim(1, -1).reshape(-1, K)[0, labels.flatten()[0]] == 0
    values = cross_entropy(softmax, wide, labels, -100)
    assert_close(values[kept], F.cross_entropy(wide.double(), labels, reduction="none")[kept].float())
