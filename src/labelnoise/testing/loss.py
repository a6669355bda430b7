"""The contract of a loss."""

import inspect
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

PerLabelLoss = Callable[[Tensor, Tensor], Tensor]


def check_loss(loss: PerLabelLoss, *, num_classes: int = 5, seed: int = 0) -> None:
    """Assert that ``loss(logits, labels)`` keeps the contract of a loss.

    Checked are the shapes (k), (n, k) and (n, k, d1, d2), that every label gets the value it would get alone, that
    half precision is computed and returned in float32, that value and gradient are there and finite for logits up to
    1e4, that not every gradient is zero, that an empty batch works, that labels at ``ignore_index`` count for nothing,
    that inputs stay as they are, that the same call gives the same bits, and that labels which do not fit are refused
    instead of broadcast.

    Args:
        loss: a function or module with ``reduction="none"``; labels are class indices. Its ``ignore_index``, if there
            is one, is a module's attribute or the default of a function's argument.
        num_classes: k, of the logits it is tried on.
        seed: of those logits.

    Raises:
        AssertionError: with what is wrong.

    Example:
        >>> from labelnoise.losses import GCELoss
        >>> check_loss(GCELoss(reduction="none"))
        >>> check_loss(GCELoss(reduction="mean"))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        AssertionError: loss must give one value a label, shape (2,), got (); is reduction="none" set? ...
    """
    generator = torch.Generator().manual_seed(seed)
    n, *dense = [size for size in (2, 3, 4, 6) if size != num_classes][:3]  # all unlike k and each other

    def batch(*shape: int, scale: float = 3.0) -> tuple[Tensor, Tensor]:
        logits = scale * (2 * torch.rand(*shape, num_classes, generator=generator) - 1)
        return logits.movedim(-1, min(1, len(shape))), torch.randint(num_classes, shape, generator=generator)

    _check_shapes(loss, batch(n), batch(n, *dense), batch(0))
    _check_precision(loss, *_from_doubted_to_believed(*batch(64)))
    _check_range(loss, *batch(64, scale=1e4))
    _check_ignored(loss, *batch(n, *dense))
    _check_refusals(loss, num_classes, n, dense)


def _from_doubted_to_believed(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The same with p_y from 1/k to nearly 1, for a loss that lets go of labels which hardly are believed."""
    n, num_classes = logits.shape
    lift = torch.linspace(0, 6 + math.log(num_classes), n)
    return logits + lift[:, None] * F.one_hot(labels, num_classes), labels


def _check_shapes(
    loss: PerLabelLoss, flat: tuple[Tensor, Tensor], dense: tuple[Tensor, Tensor], empty: tuple[Tensor, Tensor]
) -> None:
    for logits, labels in (flat, dense):
        together = _evaluate(loss, logits, labels)[0].flatten()
        rows = logits.movedim(1, -1).flatten(0, -2)
        alone = [_evaluate(loss, row, label)[0] for row, label in zip(rows, labels.flatten(), strict=True)]
        assert _close(together, torch.stack(alone)), (
            f"loss of logits {tuple(logits.shape)} differs from its rows one by one; the classes are dimension 1"
        )
    _evaluate(loss, *empty)


def _check_precision(loss: PerLabelLoss, logits: Tensor, labels: Tensor) -> None:
    values, gradient = _evaluate(loss, logits, labels)
    again = _evaluate(loss, logits, labels)
    assert torch.equal(values, again[0]), "loss differs from call to call"
    assert torch.equal(gradient, again[1]), "gradient differs from call to call"
    assert gradient.any(), f"loss has a gradient of zero for all of {len(labels)} labels, believed or not"
    _evaluate(loss, logits.double(), labels)
    for dtype in (torch.float16, torch.bfloat16):
        rounded = logits.to(dtype)
        half, single = _evaluate(loss, rounded, labels)[0], _evaluate(loss, rounded.float(), labels)[0]
        assert _close(half, single), (
            f"loss of {dtype} logits must be computed in float32, differs by {(half - single).abs().max():.2g}"
        )


def _check_range(loss: PerLabelLoss, logits: Tensor, labels: Tensor) -> None:
    target = F.one_hot(labels, logits.shape[1])
    for extreme in (logits, 1e4 * (2.0 * target - 1), 1e4 * (1 - 2.0 * target)):
        for dtype in (torch.float32, torch.float16, torch.bfloat16):
            _evaluate(loss, extreme.to(dtype), labels)


def _check_ignored(loss: PerLabelLoss, logits: Tensor, labels: Tensor) -> None:
    ignore_index = _ignore_index(loss)
    if ignore_index is None:
        return
    ignored = torch.zeros(labels.shape, dtype=torch.bool)
    ignored[0] = True
    values, gradient = _evaluate(loss, logits, labels)
    for mask in (ignored, torch.ones_like(ignored)):
        masked_values, masked_gradient = _evaluate(loss, logits, labels.masked_fill(mask, ignore_index))
        rule = f"of labels at ignore_index {ignore_index} must be zero, and no other label's may change"
        assert _close(masked_values, values.masked_fill(mask, 0)), f"loss {rule}"
        assert _close(masked_gradient, gradient.masked_fill(mask[:, None], 0)), f"gradient {rule}"


def _close(first: Tensor, second: Tensor) -> bool:
    """Equal to float32 but for the order of a sum over a few classes, which moves the last bits."""
    return torch.allclose(first.double(), second.double(), rtol=1e-5, atol=1e-6)


def _ignore_index(loss: PerLabelLoss) -> int | None:
    """The label that counts for nothing: a module's attribute, or the default of a function's argument."""
    parameter = inspect.signature(loss).parameters.get("ignore_index")
    return getattr(loss, "ignore_index", parameter and parameter.default)


def _check_refusals(loss: PerLabelLoss, k: int, n: int, dense: list[int]) -> None:
    d1, d2 = dense
    for logits_shape, labels_shape in [
        ((k,), (1,)),
        ((n, k), ()),
        ((n, k), (1,)),
        ((n, k), (n + 1,)),
        ((n, k), (n, 1)),
        ((n, k), (n, k)),
        ((n, k, d1, d2), (n,)),
        ((n, k, d1, d2), (n, 1, 1)),
        ((n, k, d1, d2), (n, d2, d1)),
    ]:
        case = f"labels of shape {labels_shape} do not fit logits of shape {logits_shape}: loss must raise ValueError"
        try:
            loss(torch.zeros(logits_shape), torch.zeros(labels_shape, dtype=torch.int64))
        except ValueError:
            continue
        except Exception as error:
            raise AssertionError(f"{case}, raised {error!r}") from error
        raise AssertionError(f"{case}, raised nothing")


def _evaluate(loss: PerLabelLoss, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Values, and the gradient of their sum, after the checks that hold for every legal input."""
    case = f"(logits {logits.dtype} {tuple(logits.shape)}, labels {tuple(labels.shape)})"
    given_logits, given_labels = logits.clone().requires_grad_(), labels.clone()
    try:
        values = loss(given_logits, given_labels)
    except Exception as error:
        raise AssertionError(f"loss raised {error!r} {case}") from error
    assert isinstance(values, Tensor), f"loss must give a tensor, got {type(values).__name__} {case}"
    wanted, came = tuple(labels.shape), tuple(values.shape)
    assert came == wanted, (
        f'loss must give one value a label, shape {wanted}, got {came}; is reduction="none" set? {case}'
    )
    assert values.dtype in (torch.float32, torch.float64), f"loss must be float32 or wider, got {values.dtype} {case}"
    assert values.requires_grad, f"loss has no gradient {case}"
    (gradient,) = torch.autograd.grad(values.sum(), given_logits, materialize_grads=True)
    unchanged = torch.equal(given_logits, logits) and torch.equal(given_labels, labels)
    assert unchanged, f"loss changes its inputs {case}"
    for name, tensor in (("loss", values), ("gradient", gradient)):
        assert tensor.isfinite().all(), f"{name} is NaN or infinite for |logit| up to {logits.abs().max():g} {case}"
    return values.detach(), gradient
