"""A linear layer and Lq in chunks: the numbers of the two calls, and the logits never all there."""

import inspect
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from labelnoise import losses
from labelnoise.losses import LinearGCELoss, _chunks, gce_loss, linear_gce_loss

D, K = 5, 7
SHAPES = [(11,), (2, 3, 4), ()]
WEIGHT = torch.tensor([0.5, 1.0, 2.0, 0.25, 3.0, 1.5, 0.0])

pytestmark = pytest.mark.usefixtures("path")


class Problem:
    """Leaves of a layer's loss, and some factors."""

    def __init__(self, shape: tuple[int, ...] = (11,), dtype: torch.dtype = torch.float64) -> None:
        generator = torch.Generator().manual_seed(0)
        self.hidden = torch.randn(*shape, D, generator=generator).to(dtype).requires_grad_()
        self.weight = torch.randn(K, D, generator=generator).to(dtype).requires_grad_()
        self.bias = torch.randn(K, generator=generator).to(dtype).requires_grad_()
        self.labels = torch.randint(K - 1, shape, generator=generator)
        if shape:
            self.labels.view(-1)[3] = -100
        self.factors = torch.rand(shape, generator=generator).round(decimals=2)
        self.q = torch.rand(shape, generator=generator)

    @property
    def leaves(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.hidden, self.weight, self.bias

    def chunked(self, q: float | Tensor = 0.7, **options) -> Tensor:
        return linear_gce_loss(self.hidden, self.weight, self.labels, linear_bias=self.bias, q=q, **options)

    def logits(self) -> Tensor:
        return F.linear(self.hidden, self.weight, self.bias)


def reference(problem: Problem, q: float | Tensor, options: dict) -> Tensor:
    """Label by label, in the words of the docstring."""
    sample_weight, weight = options["sample_weight"], options["weight"]
    rows, labels = problem.logits().reshape(-1, K).double(), problem.labels.flatten()
    values, counts = [], []
    for i, label in enumerate(labels.tolist()):
        kept = label != options["ignore_index"]
        factor = float(kept)
        if kept and weight is not None:
            factor *= weight[label].item()
        if sample_weight is not None:
            factor *= sample_weight.flatten()[i].item()
        exponent = q.flatten()[i].item() if isinstance(q, Tensor) else q
        p = rows[i].softmax(0)[label if kept else 0]
        values.append(factor * ((1 - p**exponent) / exponent if exponent else -p.log()))
        counts.append(factor)
    none = torch.stack(values)
    of = {"none": none.view(problem.labels.shape), "sum": none.sum(), "mean": none.sum() / (sum(counts) or 1)}
    return of[options["reduction"]]


def assert_same_gradients(got: Tensor, wanted: Tensor, leaves: tuple[Tensor, ...], **tolerance) -> None:
    factors = torch.arange(1.0, got.numel() + 1, dtype=got.dtype).view_as(got)
    of_got = torch.autograd.grad(got, leaves, factors)
    of_wanted = torch.autograd.grad(wanted, leaves, factors.to(wanted.dtype))
    for one, other, leaf in zip(of_got, of_wanted, leaves, strict=True):
        assert (one.dtype, one.shape) == (leaf.dtype, leaf.shape)
        assert_close(one, other, **tolerance)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("q", [0.0, 0.7, 1.0, None], ids=str)
def test_equals_the_layer_and_the_loss_with_every_argument(shape, q):
    problem = Problem(shape)
    q = problem.q if q is None else q
    for weight, sample_weight, ignored, reduction in product(
        [None, WEIGHT], [None, problem.factors], [-100, 2], ["none", "mean", "sum"]
    ):
        problem.labels = problem.labels.where(problem.labels != -100, ignored)
        options = {"weight": weight, "sample_weight": sample_weight, "ignore_index": ignored, "reduction": reduction}
        got, wanted = problem.chunked(q, **options), reference(problem, q, options)
        # float64: WEIGHT and factors are float32 numbers, the same on both sides; logits of at most 20, sums of 80
        assert_close(got, wanted, rtol=1e-12, atol=1e-13)
        assert_same_gradients(got, wanted, problem.leaves, rtol=1e-11, atol=1e-12)
        problem.labels = problem.labels.where(problem.labels != ignored, -100)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_q_one_has_the_gradient_of_dynamic_fine_tuning(reduction):
    """DFT: cross entropy times the probability of the token, which no gradient flows through."""
    problem = Problem()
    cross_entropy = F.cross_entropy(problem.logits(), problem.labels, reduction="none")
    dft = cross_entropy * cross_entropy.detach().neg().exp()
    reduced = {"none": dft, "sum": dft.sum(), "mean": dft.sum() / (problem.labels != -100).sum()}[reduction]
    got = problem.chunked(q=1.0, reduction=reduction)
    assert_same_gradients(got, reduced, problem.leaves, rtol=1e-12, atol=1e-14)
    assert not torch.allclose(got, reduced)  # the value is 1 - p_y, another one


def test_q_zero_is_cross_entropy():
    problem = Problem()
    wanted = F.cross_entropy(problem.logits(), problem.labels)
    got = problem.chunked(q=0.0)
    assert_close(got, wanted, rtol=1e-13, atol=0)
    assert_same_gradients(got, wanted, problem.leaves, rtol=1e-12, atol=1e-14)


# In bfloat16 the logits, softmax - one_hot, what it is multiplied with and the sums are rounded to 2^-8 each; float16
# is computed in float32 and rounded once, to 2^-11.
@pytest.mark.parametrize(
    ("dtype", "budget"), [(torch.float32, 2e-6), (torch.bfloat16, 4 * 2**-8), (torch.float16, 2**-11 + 2e-6)]
)
@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_precision(path, dtype, budget, reduction):
    problem, exact = Problem(dtype=dtype), Problem()
    for leaf, like in zip(exact.leaves, problem.leaves, strict=True):
        leaf.data.copy_(like.data)
    got, wanted = problem.chunked(reduction=reduction), exact.chunked(reduction=reduction)
    assert got.dtype == torch.float32
    factors = torch.linspace(1, 2, got.numel()).view_as(got)
    of_got = torch.autograd.grad(got, problem.leaves, factors)
    of_wanted = torch.autograd.grad(wanted, exact.leaves, factors.double())
    budget = 4 * 2**-11 if (path, dtype) == ("plain", torch.float16) else budget  # as the two calls have it
    for one, other, leaf in zip(of_got, of_wanted, problem.leaves, strict=True):
        assert one.dtype == leaf.dtype
        assert (one.double() - other).norm() <= budget * other.norm()


def test_float16_gradients_live_until_the_scaler_multiplies_them(path):
    if path == "plain":
        pytest.skip("the two calls round the gradient of the logits to float16")
    problem, exact = Problem(dtype=torch.float16), Problem()
    for leaf, like in zip(exact.leaves, problem.leaves, strict=True):
        leaf.data.copy_(like.data)
    scale = 2.0**20
    got = torch.autograd.grad(scale * 1e-6 * problem.chunked(), problem.leaves)
    wanted = torch.autograd.grad(scale * 1e-6 * exact.chunked(), exact.leaves)
    for one, other in zip(got, wanted, strict=True):
        assert_close(one.double(), other, rtol=2**-11 + 2e-6, atol=2**-24)


def test_autocast_computes_as_the_layer_would_and_sums_in_the_weights_own_precision():
    problem, exact = Problem(dtype=torch.float32), Problem(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        got = problem.chunked()
        wanted = gce_loss(exact.logits(), exact.labels)
        assert exact.logits().dtype == torch.bfloat16
    assert_close(got, wanted, rtol=1e-6, atol=0)  # the same bfloat16 logits, and float32 from there
    of_got = torch.autograd.grad(got, problem.leaves)
    of_wanted = torch.autograd.grad(wanted, exact.leaves)
    for one, other in zip(of_got, of_wanted, strict=True):
        assert one.dtype == torch.float32
        assert (one - other).norm() <= 4 * 2**-8 * other.norm()  # bfloat16 products on both sides


@pytest.mark.parametrize("reduction", ["none", "mean"])
@pytest.mark.parametrize("frozen", range(3), ids=["hidden", "weight", "bias"])
def test_what_is_frozen_gets_no_gradient(frozen, reduction):
    problem = Problem()
    wanted = torch.autograd.grad(problem.chunked(reduction=reduction).sum(), problem.leaves)
    problem.leaves[frozen].requires_grad_(False)
    problem.chunked(reduction=reduction).sum().backward()
    for position, (leaf, gradient) in enumerate(zip(problem.leaves, wanted, strict=True)):
        if position == frozen:
            assert leaf.grad is None
        else:
            assert_close(leaf.grad, gradient, rtol=1e-13, atol=1e-15)
    for leaf in problem.leaves:
        leaf.requires_grad_(False)
    assert not problem.chunked(reduction=reduction).requires_grad


def test_weights_that_learn_get_their_gradient():
    problem = Problem()
    learning = problem.factors.double().requires_grad_()
    got = problem.chunked(sample_weight=learning)
    values = gce_loss(problem.logits(), problem.labels, reduction="none") * learning
    wanted = values.sum() / (learning * (problem.labels != -100)).sum()
    assert_same_gradients(got, wanted, (*problem.leaves, learning), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_a_second_backward_is_right_where_the_graph_is_retained_and_refused_where_not(reduction):
    problem = Problem()
    loss = problem.chunked(reduction=reduction).sum()
    first = torch.autograd.grad(loss, problem.leaves, retain_graph=True)
    first = [gradient.clone() for gradient in first]
    again = torch.autograd.grad(loss, problem.leaves, torch.tensor(2.0).double(), retain_graph=True)
    for one, other in zip(again, first, strict=True):
        assert_close(one, 2 * other, rtol=1e-14, atol=0)
    loss.backward()
    for leaf, gradient in zip(problem.leaves, first, strict=True):
        assert torch.equal(leaf.grad, gradient)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        loss.backward()


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_a_second_derivative_is_right_or_refused(path, reduction):
    problem = Problem()
    loss = problem.chunked(reduction=reduction).sum()
    if path == "fused":
        with pytest.raises(RuntimeError, match=r"no second derivative"):
            torch.autograd.grad(loss, problem.leaves, create_graph=True)
    else:
        assert torch.autograd.gradgradcheck(lambda *leaves: problem.chunked(reduction=reduction), problem.leaves)


def test_torch_func_and_many_backwards_at_once(path):
    problem = Problem()
    hidden, weight = problem.hidden.detach(), problem.weight.detach()
    (wanted,) = torch.autograd.grad(linear_gce_loss(problem.hidden, weight, problem.labels), problem.hidden)
    got = torch.func.grad(linear_gce_loss)(hidden, weight, problem.labels)
    assert_close(got, wanted, rtol=1e-12, atol=1e-15)
    each = torch.func.vmap(linear_gce_loss, in_dims=(0, None, 0))(hidden, weight, problem.labels)
    none = linear_gce_loss(hidden, weight, problem.labels, reduction="none")
    assert_close(each, none, rtol=1e-12, atol=1e-15)

    loss, factors = problem.chunked(), torch.tensor([1.0, -2.0]).double()
    batched = torch.autograd.grad(loss, problem.weight, factors, is_grads_batched=True, retain_graph=True)[0]
    (alone,) = torch.autograd.grad(loss, problem.weight)
    assert_close(batched, torch.stack([alone, -2 * alone]), rtol=1e-14, atol=0)
    if path == "fused":
        values = problem.chunked(reduction="none")
        with pytest.raises(RuntimeError, match="one backward at a time"):
            torch.autograd.grad(values, problem.weight, torch.eye(11).double(), is_grads_batched=True)


@pytest.mark.parametrize("written", ["labels", "q"])
def test_what_the_backward_needs_once_more_cannot_be_written_on(path, written):
    if (path, written) == ("plain", "q"):
        pytest.skip("the two calls keep what they made of q")
    problem = Problem()
    problem.labels, q = problem.labels.clamp_min(0), problem.q.double()
    loss = problem.chunked(q=q, reduction="none").sum()
    (problem.labels if written == "labels" else q).fill_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_inputs_stay_as_they_are():
    problem = Problem()
    before = [leaf.detach().clone() for leaf in problem.leaves]
    problem.chunked(weight=WEIGHT, sample_weight=problem.factors).backward()
    for leaf, copy in zip(problem.leaves, before, strict=True):
        assert torch.equal(leaf, copy)


class Shapes(TorchDispatchMode):
    """Of everything that is made."""

    def __init__(self) -> None:
        super().__init__()
        self.made: set[torch.Size] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.made |= {leaf.shape for leaf in tree_leaves(result) if isinstance(leaf, Tensor)}
        return result


@pytest.mark.parametrize("reduction", ["none", "mean"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_logits_never_exist_all_at_once(path, reduction, dtype):
    n, k = 192, 200
    hidden, weight = torch.randn(n, 2, dtype=dtype, requires_grad=True), torch.zeros(k, 2, dtype=dtype).requires_grad_()
    with Shapes() as shapes:
        linear_gce_loss(hidden, weight, torch.arange(n) % k, reduction=reduction).sum().backward()
    rows = 3 if dtype is torch.float32 else n // 32  # whose sums are rounded, so it takes no more chunks than that
    assert max(shape.numel() for shape in shapes.made) == (n if path == "plain" else rows) * k


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_no_value_is_read_back_from_the_device(reduction):
    problem = Problem()
    hidden, weight = (leaf.detach().to("meta").requires_grad_() for leaf in (problem.hidden, problem.weight))
    of_class, of_label = WEIGHT.to("meta"), problem.factors.to("meta")
    loss = linear_gce_loss(
        hidden, weight, problem.labels.to("meta"), weight=of_class, sample_weight=of_label, reduction=reduction
    )
    assert torch.autograd.grad(loss.sum(), weight)[0].shape == weight.shape


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_without_gradient_the_same_values_and_nothing_more(reduction):
    problem = Problem()
    wanted = problem.chunked(reduction=reduction)
    with torch.no_grad(), Shapes() as shapes:
        got = problem.chunked(reduction=reduction)
    assert_close(got, wanted, rtol=1e-14, atol=0)
    assert problem.weight.shape not in shapes.made


def test_a_sum_in_bfloat16_has_few_terms(monkeypatch):
    """Of 4000 equal terms, chunks of three rows would come to 512 of them, where adding one no longer changes it."""
    monkeypatch.setattr(_chunks, "_FEWEST_ROWS", 1)
    hidden = torch.ones(4000, 1, dtype=torch.bfloat16)
    weight = torch.zeros(2, 1, dtype=torch.bfloat16, requires_grad=True)
    loss = linear_gce_loss(hidden, weight, torch.zeros(4000, dtype=torch.int64), q=0.0, reduction="sum")
    (got,) = torch.autograd.grad(loss, weight)
    # 32 sums, of 1/32, 2/32 and so on of the whole, each rounded to 2^-8 at worst
    assert_close(got.float(), torch.tensor([[-2000.0], [2000.0]]), rtol=33 / 2 * 2**-8, atol=0)


@pytest.mark.parametrize("nothing", ["ignored", "of weight 0", "empty"])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_nothing_to_learn_from_is_zero_with_a_gradient(nothing, reduction):
    hidden = torch.randn(0 if nothing == "empty" else 11, D, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(K, D, dtype=torch.float64, requires_grad=True)
    labels = torch.full((len(hidden),), -100 if nothing == "ignored" else 0)
    sample_weight = torch.zeros(len(hidden)) if nothing == "of weight 0" else None
    loss = linear_gce_loss(hidden, weight, labels, sample_weight=sample_weight, reduction=reduction)
    assert torch.equal(loss, torch.zeros_like(loss))
    for gradient in torch.autograd.grad(loss.sum(), (hidden, weight)):
        assert torch.equal(gradient, torch.zeros_like(gradient))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("q", [0.0, 1e-8, 0.7, 1.0])
def test_never_nan_or_infinite(q, dtype):
    labels = torch.arange(64) % K
    for scale in (1.0, 30.0, 1e3, 1e4):  # of the logits: rows and columns of the identity times it
        hidden = (scale * torch.eye(K)[(labels + torch.arange(64) // K) % K]).to(dtype).requires_grad_()
        weight = torch.eye(K, dtype=dtype).sub(0.5).requires_grad_()
        values = linear_gce_loss(hidden, weight, labels, q=q, reduction="none")
        for tensor in (values, *torch.autograd.grad(values.mean(), (hidden, weight))):
            assert tensor.isfinite().all(), scale


def test_function_and_module_have_one_signature():
    of_function = inspect.signature(linear_gce_loss).parameters
    of_module = inspect.signature(LinearGCELoss).parameters
    of_call = inspect.signature(LinearGCELoss.forward).parameters
    assert [*of_call][1:4] == [*of_function][:3]
    settings = [*of_function][3:]
    assert sorted(settings) == sorted([*of_module, *[*of_call][4:]])
    for name in of_module:
        assert str(of_module[name]) == str(of_function[name])
        assert of_module[name].kind is of_function[name].kind is inspect.Parameter.KEYWORD_ONLY


def test_the_module_is_the_function():
    problem = Problem()
    settings = {"q": 0.4, "weight": WEIGHT, "ignore_index": 2, "reduction": "sum"}
    module = LinearGCELoss(**settings)
    problem.labels = problem.labels.clamp_min(0)
    got = module(
        problem.hidden, problem.weight, problem.labels, linear_bias=problem.bias, sample_weight=problem.factors
    )
    assert torch.equal(got, problem.chunked(sample_weight=problem.factors, **settings))
    assert repr(module) == "LinearGCELoss(q=0.4, ignore_index=2, reduction='sum')"
    assert list(module.state_dict()) == ["weight"]
    assert LinearGCELoss().q == 0.7


def test_it_is_no_loss_of_logits():
    assert "linear_gce" not in losses.names()
    with pytest.raises(ValueError, match="unknown loss 'linear_gce'"):
        losses.build("linear_gce")


HIDDEN, LAYER, LABELS = torch.zeros(3, D), torch.zeros(K, D), torch.tensor([0, 1, 2])


@pytest.mark.parametrize(
    ("hidden", "linear_weight", "labels", "options", "message"),
    [
        (HIDDEN, LAYER, LABELS[:2], {}, r"labels must be int64 class indices of shape \(3,\), got .* \(2,\)"),
        (HIDDEN, LAYER, LABELS[:, None], {}, r"labels must be .* \(3,\), got .* \(3, 1\)"),
        (HIDDEN, LAYER.T, LABELS, {}, r"linear_weight must be of shape \(k, 5\), .* got .* \(5, 7\)"),
        (HIDDEN, LAYER[:0], LABELS, {}, r"linear_weight must be of shape \(k, 5\), .* got .* \(0, 5\)"),
        (HIDDEN, LAYER.double(), LABELS, {}, r"linear_weight must be of hidden's dtype, torch.float32, got .*float64"),
        (HIDDEN, LAYER, LABELS, {"linear_bias": torch.zeros(1)}, r"linear_bias must be of shape \(7,\), got .* \(1,\)"),
        (HIDDEN, LAYER, LABELS, {"weight": torch.ones(5)}, r"weight must be .* \(7,\), got torch.float32 \(5,\)"),
        (HIDDEN, LAYER, LABELS, {"sample_weight": torch.ones(1)}, r"sample_weight must be .* \(3,\), got .* \(1,\)"),
        (HIDDEN, LAYER, LABELS, {"q": torch.ones(2)}, r"q must be .* \(3,\), got .* \(2,\)"),
        (HIDDEN.numpy(), LAYER, LABELS, {}, "hidden must be a tensor, got ndarray"),
        (HIDDEN, LAYER, LABELS.tolist(), {}, "labels must be a tensor, got list"),
        (HIDDEN, LAYER, LABELS, {"q": -1.0}, r"q must be a finite number >= 0, got -1.0"),
        (HIDDEN, LAYER, LABELS, {"reduction": "men"}, r"reduction must be 'none', 'mean' or 'sum', got 'men'"),
        (HIDDEN, LAYER, LABELS + 5, {}, r"labels must be within \[0, 7\) or ignore_index -100: .*7"),
        (HIDDEN, LAYER, LABELS - 1, {}, r"labels must be within \[0, 7\) or ignore_index -100: .*-1"),
        (HIDDEN, LAYER, LABELS + 5, {"weight": WEIGHT}, r"labels must be within \[0, 7\) or ignore_index -100: .*7"),
    ],
)
@pytest.mark.usefixtures("without_shape_checks")
def test_bad_input_is_refused(hidden, linear_weight, labels, options, message):
    with pytest.raises(ValueError, match=message):
        linear_gce_loss(hidden, linear_weight, labels, **options)


def test_a_layer_of_the_network_learns():
    """The use it is for: a trunk, a head whose weight is handed in, labels to be ignored."""
    torch.manual_seed(0)
    trunk, head = nn.Linear(3, D), nn.Linear(D, K)
    optimizer = torch.optim.SGD([*trunk.parameters(), *head.parameters()], lr=0.5)
    inputs, labels = torch.eye(3), torch.tensor([4, -100, 1])
    loss = LinearGCELoss(q=0.4)
    for _ in range(60):
        optimizer.zero_grad()
        loss(trunk(inputs), head.weight, labels, linear_bias=head.bias).backward()
        optimizer.step()
    assert head(trunk(inputs)).argmax(1)[[0, 2]].tolist() == [4, 1]
