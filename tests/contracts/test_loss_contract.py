"""Every loss of the registry keeps one contract: what the arguments of torch's cross entropy mean, and more."""

import inspect
from collections.abc import Iterator
from functools import partial
from itertools import count, product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import grad, vmap
from torch.testing import assert_close

from labelnoise import losses
from labelnoise.testing import check_loss

K = 4
SHAPES = [(K,), (3, K), (3, K, 2), (2, K, 3, 2)]
WEIGHT = torch.tensor([0.5, 1.0, 2.0, 0.25], dtype=torch.float64)

# float64 sums of at most a few dozen terms, in another order: some 10 ulp of 2e-16. 1e-11 leaves room for p - onehot,
# which cancels where p_y is near 1.
close = partial(assert_close, rtol=1e-11, atol=1e-13)


def batch(shape: tuple[int, ...], *, seed: int = 0, soft: bool = False) -> tuple[Tensor, Tensor]:
    """Logits wide enough that some labels have p_y on either side of one half, and labels."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(shape, generator=generator, dtype=torch.float64)
    if soft:
        return logits, torch.randn(shape, generator=generator, dtype=torch.float64).softmax(min(1, len(shape) - 1))
    return logits, torch.randint(K, shape[:1] * (len(shape) > 1) + shape[2:], generator=generator)


def with_gradient(loss: Any, logits: Tensor, *args: Any, **options: Any) -> tuple[Tensor, Tensor]:
    """A loss and the gradient of its sum, every value at a factor of its own so that none stand in for another."""
    logits = logits.clone().requires_grad_()
    values = loss(logits, *args, **options)
    factors = torch.arange(1.0, values.numel() + 1, dtype=values.dtype).view_as(values)
    return values.detach(), torch.autograd.grad(values, logits, factors)[0]


@pytest.fixture(params=losses.names())
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def function(name, required) -> Any:
    """The loss function, called as its module is: with what it requires bound, for K classes."""
    return partial(getattr(losses, f"{name}_loss"), **required(name, K))


@pytest.fixture
def build(name, required) -> Any:
    """The module from the registry, for K classes; what it requires may be given anew."""
    return lambda **options: losses.build(name, **required(name, K) | options)


def test_public_check(name, required):
    check_loss(losses.build(name, **required(name, 5), reduction="none"))
    function = getattr(losses, f"{name}_loss")
    check_loss(partial(function, **required(name, 3), reduction="none"), num_classes=3)
    for num_classes in (2, 100):
        check_loss(losses.build(name, **required(name, num_classes), reduction="none"), num_classes=num_classes)


def test_function_and_module_have_one_signature(name):
    logits, labels, *settings = inspect.signature(getattr(losses, f"{name}_loss")).parameters.values()
    assert (logits.name, labels.name) == ("logits", "labels")
    of_module = inspect.signature(losses.REGISTRY[name]).parameters.values()
    assert list(map(str, settings)) == list(map(str, of_module))
    assert [p.kind for p in settings] == [p.kind for p in of_module]
    keywords = {p.name: p.default for p in settings if p.kind is p.KEYWORD_ONLY}
    assert keywords == {"weight": None, "ignore_index": -100, "reduction": "mean", "label_smoothing": 0.0}


def reference(
    by_class: Tensor, labels: Tensor, weight: Tensor | None, ignore_index: int, reduction: str, smoothing: float
) -> Tensor:
    """sum_j y_j w_j loss_j in Python, label by label; ``by_class`` holds the plain loss of every class as the label."""
    factors = [1.0] * K if weight is None else weight.tolist()
    values, counts = [], []
    for losses_of_row, label in zip(by_class, labels, strict=True):
        hard = label.ndim == 0
        kept = not (hard and label == ignore_index)
        target = [float(j == label) for j in range(K)] if hard else label.tolist()
        smooth = [(1 - smoothing) * target[j] + smoothing / K for j in range(K)]
        values.append(kept * sum(smooth[j] * factors[j] * losses_of_row[j] for j in range(K)))
        counts.append(kept * (factors[label] if hard else 1.0))
    none = torch.stack(values)
    return {"none": none, "sum": none.sum(), "mean": none.sum() / (sum(counts) or 1)}[reduction]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
def test_all_arguments_together(function, build, shape, soft):
    logits, labels = batch(shape, soft=soft)
    class_dim = min(1, len(shape) - 1)
    flat_labels = labels.movedim(class_dim, -1).reshape(-1, K) if soft else labels.flatten()

    def expected(logits: Tensor, *arguments: Any) -> Tensor:
        rows = logits.movedim(class_dim, -1).reshape(-1, K)
        each = [function(rows, torch.full((len(rows),), j), reduction="none") for j in range(K)]
        result = reference(torch.stack(each, dim=1), flat_labels, *arguments)
        values_shape = shape[:class_dim] + shape[class_dim + 1 :]
        return result.view(values_shape) if result.ndim else result

    ignored = [-100] if soft else [-100, int(flat_labels[0])]
    for arguments in product([None, WEIGHT], ignored, ["none", "mean", "sum"], [0.0, 0.1, 1.0]):
        options = dict(zip(["weight", "ignore_index", "reduction", "label_smoothing"], arguments, strict=True))
        wanted = with_gradient(expected, logits, *arguments)
        close(with_gradient(function, logits, labels, **options), wanted, msg=lambda m, o=options: f"{o}: {m}")
        assert torch.equal(build(**options)(logits, labels), function(logits, labels, **options))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["", "weight"])
def test_one_hot_labels_are_hard_labels(function, shape, weight):
    logits, labels = batch(shape)
    one_hot = F.one_hot(labels, K).movedim(-1, min(1, len(shape) - 1)).double()
    loss = partial(function, weight=weight, reduction="none")
    close(with_gradient(loss, logits, one_hot), with_gradient(loss, logits, labels))


def test_label_smoothing_is_a_soft_label(function):
    logits, labels = batch((6, K))
    smooth = 0.8 * F.one_hot(labels, K).double() + 0.2 / K
    close(with_gradient(function, logits, labels, label_smoothing=0.2), with_gradient(function, logits, smooth))


def test_weight_multiplies_the_value(function):
    logits, labels = batch((6, K))
    none = function(logits, labels, reduction="none")
    close(function(logits, labels, weight=WEIGHT, reduction="none"), WEIGHT[labels] * none)
    close(function(logits, labels, weight=WEIGHT), (WEIGHT[labels] * none).sum() / WEIGHT[labels].sum())


@pytest.mark.parametrize("shape", [*SHAPES, (0, K), (0, K, 2), (0, K, 3, 2), (2, K, 0)], ids=str)
def test_nothing_to_learn_from_is_zero_with_a_gradient(function, shape):
    logits, labels = batch(shape)
    nothing = [torch.full_like(labels, -100)] + [torch.zeros(shape)] * (not logits.numel())
    for labels, dtype, weight, reduction, label_smoothing in product(
        nothing, [torch.float64, torch.bfloat16], [None, WEIGHT], ["none", "mean", "sum"], [0.0, 0.1]
    ):
        options = {"weight": weight, "reduction": reduction, "label_smoothing": label_smoothing}
        for result in with_gradient(function, logits.to(dtype), labels, **options):
            assert torch.equal(result, torch.zeros_like(result)), options


@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_first_and_second_derivative(function, soft, label_smoothing):
    logits, labels = batch((5, K), soft=soft)
    loss = partial(function, labels=labels, weight=WEIGHT, label_smoothing=label_smoothing)
    # gradcheck's own tolerances: central differences of step 1e-6 in float64 are good to about 1e-9
    assert torch.autograd.gradcheck(loss, (logits.requires_grad_(),))
    assert torch.autograd.gradgradcheck(loss, (logits,))


@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
@pytest.mark.parametrize("options", [{}, {"weight": WEIGHT, "label_smoothing": 0.1}], ids=["", "weight, smoothing"])
def test_vmap_of_grad_is_row_by_row(function, soft, options):
    logits, labels = batch((6, K), soft=soft)
    if not soft:
        labels[2] = -100
    gradient = grad(partial(function, **options))
    rows = torch.stack([gradient(row, label) for row, label in zip(logits, labels, strict=True)])
    close(vmap(gradient)(logits, labels), rows)
    backward = [with_gradient(function, row, label, **options)[1] for row, label in zip(logits, labels, strict=True)]
    close(rows, torch.stack(backward))


@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
def test_autocast_leaves_the_loss_in_float32(function, soft):
    logits, labels = batch((6, K), soft=soft)
    layer = nn.Linear(K, K)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = layer(logits.float())
        loss = function(outputs, labels, weight=WEIGHT, label_smoothing=0.1)
    loss.backward()
    assert (outputs.dtype, loss.dtype, layer.weight.grad.dtype) == (torch.bfloat16, torch.float32, torch.float32)
    assert torch.equal(loss, function(outputs.float(), labels, weight=WEIGHT, label_smoothing=0.1))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
def test_weight_and_soft_labels_never_lower_or_raise_the_precision(function, soft, dtype):
    logits, labels = batch((6, K), soft=soft)
    labels = labels.half() if soft else labels
    wanted = torch.float64 if dtype is torch.float64 else torch.float32
    for weight in (WEIGHT.half(), WEIGHT):
        assert function(logits.to(dtype), labels, weight=weight).dtype is wanted


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_no_value_is_read_back_from_the_device(build, shape, soft, reduction):
    """Meta tensors have no values: whatever would wait for an accelerator (``.item()``, ``if``) raises on them."""
    logits, labels = (tensor.to("meta") for tensor in batch(shape, soft=soft))
    loss = build(weight=WEIGHT, label_smoothing=0.1, reduction=reduction).to("meta")
    assert loss.weight.device.type == "meta"
    assert loss(logits.requires_grad_(), labels).requires_grad


def test_module_carries_its_weight(name, build, required):
    module = build(weight=WEIGHT.float())
    assert module.double().weight.dtype == torch.float64
    other = build(weight=torch.ones(K))
    other.load_state_dict(module.state_dict())
    assert torch.equal(other.weight, WEIGHT.float())
    assert not list(module.parameters())
    assert build().state_dict().keys() == required(name, K).keys()


def test_module_hands_every_setting_on(name, function, build, required):
    logits, labels = batch((20, K))
    for setting in inspect.signature(losses.REGISTRY[name]).parameters.values():
        if setting.kind is not setting.KEYWORD_ONLY:
            other = setting.default / 2 if setting.default is not setting.empty else required(name, K)[setting.name].T
            changed = {setting.name: other}
            value = build(**changed)(logits, labels)
            assert torch.equal(value, function(logits, labels, **changed))
            assert not torch.equal(value, function(logits, labels))


def test_repr_shows_every_setting_but_the_tensors(name, build, required):
    settings = inspect.signature(losses.REGISTRY[name]).parameters.values()
    tensors = {"weight", *required(name, K)}
    shown = ", ".join(f"{p.name}={p.default!r}" for p in settings if p.name not in tensors)
    assert repr(build()) == f"{losses.REGISTRY[name].__name__}({shown})"


LOGITS, LABELS = torch.zeros(3, K), torch.tensor([0, 1, 2])
HALVES = torch.full((3, K), 0.5)


@pytest.mark.parametrize(
    ("logits", "labels", "options", "message"),
    [
        (LOGITS, LABELS.int(), {}, r"labels must be int64 .*\(3,\), got torch.int32 of shape \(3,\)"),
        (LOGITS, LABELS > 0, {}, r"labels must be int64 .*\(3,\), got torch.bool of shape \(3,\)"),
        (LOGITS, LABELS[:, None], {}, r"labels must be .*\(3,\), got torch.int64 of shape \(3, 1\)"),
        (LOGITS, LABELS[:1], {}, r"labels must be .*\(3,\), got torch.int64 of shape \(1,\)"),
        (LOGITS, LABELS[0], {}, r"labels must be .*\(3,\), got torch.int64 of shape \(\)"),
        (LOGITS[0], LABELS, {}, r"labels must be .*\(\), got torch.int64 of shape \(3,\)"),
        (torch.zeros(3, K, 2), LABELS, {}, r"labels must be .*\(3, 2\), got torch.int64 of shape \(3,\)"),
        (LOGITS, HALVES[:, :1], {}, r"soft labels must have .*\(3, 4\), got torch.float32 of shape \(3, 1\)"),
        (LOGITS, HALVES[0], {}, r"soft labels must have .*\(3, 4\), got torch.float32 of shape \(4,\)"),
        (LOGITS.long(), LABELS, {}, r"logits must be floating point .*, got torch.int64 of shape \(3, 4\)"),
        (torch.tensor(0.0), LABELS[0], {}, r"logits must be .*\(k\), .*, got torch.float32 of shape \(\)"),
        (LOGITS, LABELS, {"weight": torch.ones(5)}, r"weight must be .*\(4,\), got torch.float32 \(5,\)"),
        (LOGITS, LABELS, {"weight": torch.ones(1)}, r"weight must be .*\(4,\), got torch.float32 \(1,\)"),
        (LOGITS, LABELS, {"weight": torch.ones(K).long()}, r"weight must be floating point .*, got torch.int64 \(4,\)"),
        (LOGITS, LABELS, {"weight": torch.ones(3, K)}, r"weight must be .*, got torch.float32 \(3, 4\)"),
        (LOGITS, LABELS, {"weight": torch.tensor(1.0)}, r"weight must be .*, got torch.float32 \(\)"),
        (LOGITS, LABELS, {"weight": [1.0] * K}, "weight must be a tensor, got list"),
        (LOGITS.tolist(), LABELS, {}, "logits must be a tensor, got list"),
        (LOGITS, LABELS, {"reduction": "men"}, "reduction must be 'none', 'mean' or 'sum', got 'men'"),
        (LOGITS, LABELS, {"label_smoothing": 1.5}, r"label_smoothing must be within \[0, 1\], got 1.5"),
        (LOGITS, LABELS, {"label_smoothing": -0.1}, r"label_smoothing must be within \[0, 1\], got -0.1"),
        (LOGITS, LABELS, {"label_smoothing": float("nan")}, r"label_smoothing must be within \[0, 1\], got nan"),
        (LOGITS, LABELS, {"label_smoothing": "0.1"}, r"label_smoothing must be within \[0, 1\], got '0.1'"),
        (LOGITS, LABELS, {"ignore_index": 1.0}, "ignore_index must be an integer, got 1.0"),
        (LOGITS, HALVES, {"ignore_index": None}, "ignore_index must be an integer, got None"),
        (LOGITS, HALVES, {"ignore_index": 0}, "ignore_index applies to class indices only, got 0 with soft labels"),
        (LOGITS, LABELS + 2, {}, r"labels must be within \[0, 4\) or ignore_index -100: .*4"),
        (LOGITS, LABELS - 1, {}, r"labels must be within \[0, 4\) or ignore_index -100: .*-1"),
        (LOGITS, LABELS - 100, {"ignore_index": 1}, r"labels must be within \[0, 4\) or ignore_index 1: .*-100"),
        (LOGITS, LABELS - 1, {"weight": WEIGHT}, r"labels must be within \[0, 4\) or ignore_index -100: .*-1"),
        (LOGITS[0], LABELS[0] - 1, {}, r"labels must be within \[0, 4\) or ignore_index -100: .*-1"),
        (torch.zeros(3, K, 2), torch.full((3, 2), 4), {}, r"labels must be within \[0, 4\) .*4"),
        (torch.zeros(3, K, 2, 2), torch.full((3, 2, 2), 9), {}, r"labels must be within \[0, 4\) .*9"),
    ],
)
@pytest.mark.usefixtures("without_shape_checks")
def test_bad_input_is_refused(function, build, logits, labels, options, message):
    with pytest.raises(ValueError, match=message):
        function(logits, labels, **options)
    with pytest.raises(ValueError, match=message.replace(r"\(4,\)", ".*", 1) if "weight" in options else message):
        build(**options)(logits, labels)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: losses.build("gse"), r"unknown loss 'gse'; did you mean 'gce'\? \(one of: cce, forward, gce, mae, "),
        (lambda: losses.build("bootstrap"), r"unknown loss 'bootstrap' \(one of: cce, forward, gce, mae, "),
        (lambda: losses.build("gce", reducton="sum"), r"unknown setting of gce 'reducton'; did you mean 'reduction'\?"),
        (lambda: losses.build("cce", q=0.7), r"unknown setting of cce 'q' \(one of: ignore_index, label_smoothing, "),
        (lambda: losses.build("forward"), "loss forward needs a setting 'transition'"),
    ],
)
def test_unknown_names_get_a_suggestion(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def plain(logits: Tensor, labels: Tensor) -> Tensor:
    return losses.cce_loss(logits, labels, reduction="none")


def softmax_power(logits: Tensor, labels: Tensor) -> Tensor:
    dim = plain(logits, labels).ndim and 1
    return 1 - logits.float().softmax(dim).gather(dim, labels.unsqueeze(dim)).squeeze(dim) ** 0.7


def every_second_call_higher(logits: Tensor, labels: Tensor, calls: Iterator[int] = count()) -> Tensor:  # noqa: B008
    return plain(logits, labels) + 1e-6 * (next(calls) % 2)


def overwriting(logits: Tensor, labels: Tensor) -> Tensor:
    logits.data.clamp_(-1, 1)
    return plain(logits, labels)


def ignoring_none(logits: Tensor, labels: Tensor, ignore_index: int = -1) -> Tensor:
    return plain(logits, labels.where(labels != ignore_index, 0))


def broadcasting(logits: Tensor, labels: Tensor) -> Tensor:
    return plain(logits, labels.expand(logits.shape[:1]) if logits.ndim == 2 and labels.ndim < 2 else labels)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (losses.cce_loss, r'one value a label, shape \(2,\), got \(\); is reduction="none" set'),
        (lambda logits, labels: 1.0, "must give a tensor, got float"),
        (lambda logits, labels: plain(logits[:, :, 0], labels), "loss raised IndexError"),
        (lambda logits, labels: plain(logits, labels) - plain(logits, labels).mean(), "differs from its rows"),
        (every_second_call_higher, "differs from call to call"),
        (lambda logits, labels: plain(logits.detach(), labels), "no gradient"),
        (lambda logits, labels: plain(0 * logits, labels), "gradient of zero"),
        (lambda logits, labels: plain(logits, labels).to(logits), "float32 or wider, got torch.float16"),
        (lambda logits, labels: F.cross_entropy(logits, labels, reduction="none").float(), "computed in float32"),
        (lambda logits, labels: plain(logits, labels).exp(), "loss is NaN or infinite for .* up to 99"),
        (softmax_power, "gradient is NaN or infinite for .* up to 99"),
        (overwriting, "changes its inputs"),
        (ignoring_none, "loss of labels at ignore_index -1 must be zero"),
        (lambda logits, labels: F.cross_entropy(logits.float(), labels, reduction="none"), "fit .* raised nothing"),
        (lambda logits, labels: plain(logits, labels[..., 0] if labels.shape[1:] == (1,) else labels), "fit"),
        (broadcasting, "fit .* raised nothing"),
    ],
)
def test_public_check_finds_the_fault(loss, message):
    with pytest.raises(AssertionError, match=message):
        check_loss(loss)
