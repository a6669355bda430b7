"""The public contracts: what every loss, objective and noise model keeps, as checks to run over one's own."""

import copy
import inspect
import io
import math
import random
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from labelnoise._types import NoiseRecord
from labelnoise.objectives import Objective

PerLabelLoss = Callable[[Tensor, Tensor], Tensor]
BuildObjective = Callable[[int], Objective]

_Step = tuple[Tensor, Tensor, Tensor]  # logits, labels, index
_Epoch = tuple[list[_Step], Tensor]  # its steps, and what predict() gives after them

FALSE_ALARM = 1e-9
"""Odds that a right noise model fails :func:`check_noise` by the luck of its draws."""


def check_noise(noise: Callable[..., NoiseRecord], *, num_classes: int) -> None:
    """Assert that ``noise(labels, generator=generator)`` keeps the contract of a noise model.

    Checked are the record's types and shapes, that ``flipped`` and ``rate`` say what happened to the labels, that the
    transition matrix is one and the labels were drawn from it, that the same seed gives the same noise, that no global
    random state and no input is touched, and that there may be one label or none.

    Args:
        noise: the model, all its other arguments bound.
        num_classes: k, of the labels it is tried on.

    Raises:
        AssertionError: with what is wrong.

    Example:
        >>> from labelnoise.noise import build
        >>> check_noise(build("symmetric", rate=0.4, num_classes=10), num_classes=10)
    """
    labels = torch.randint(num_classes, (20_000,), generator=_generator(0))
    for count in (len(labels), 1, 0):
        given = labels[:count].clone()
        before = _global_random_state()
        record = noise(given, generator=_generator(1))
        assert _global_random_state() == before, "noise must draw from its generator, a global random state was touched"
        assert torch.equal(given, labels[:count]), "noise must leave the labels it is given as they are"
        _check_record(record, given, num_classes)
        again = noise(given, generator=_generator(1))
        assert torch.equal(record.labels, again.labels), "the same seed must give the same noisy labels"
        assert torch.equal(record.transition, again.transition), "the same seed must give the same transition matrix"
        _check_drawn_from(record, given)


def _check_record(record: NoiseRecord, labels: torch.Tensor, num_classes: int) -> None:
    noisy, flipped, rate, transition = record
    assert isinstance(record, NoiseRecord), f"noise must return a NoiseRecord, got {type(record).__name__}"
    assert noisy.dtype == torch.int64, f"labels must stay int64, got {noisy.dtype}"
    assert noisy.shape == labels.shape, f"labels must keep their shape {tuple(labels.shape)}, got {tuple(noisy.shape)}"
    assert noisy.device == labels.device, f"labels must stay on {labels.device}, got {noisy.device}"
    assert ((noisy >= 0) & (noisy < num_classes)).all(), f"labels must stay within [0, {num_classes})"
    assert torch.equal(flipped, noisy != labels), "flipped must be where the label differs from the one given"
    share = flipped.sum().item() / max(len(labels), 1)
    assert isinstance(rate, float), f"rate must be a float, got {type(rate).__name__}"
    assert rate == share, f"rate must be the share of flipped, {share}, got {rate}"
    wanted = (num_classes, num_classes)
    assert transition.dtype == torch.float64, f"transition must be float64, got {transition.dtype}"
    assert transition.shape == wanted, f"transition must be of shape {wanted}, got {tuple(transition.shape)}"
    assert (transition >= 0).all(), "transition must hold probabilities, got a negative one"
    # k additions in float64, each off by at most one unit in the last place.
    off = (transition.sum(1) - 1).abs().max().item()
    assert off <= 4 * num_classes * torch.finfo(torch.float64).eps, (
        f"rows of transition must sum to 1, one is off by {off}"
    )


def _check_drawn_from(record: NoiseRecord, labels: torch.Tensor) -> None:
    """Hold the counts of each (true, noisy) pair to Bernstein's bound, which is sound for rare pairs too."""
    num_classes = len(record.transition)
    pairs = torch.bincount(labels * num_classes + record.labels, minlength=num_classes**2)
    counts = pairs.view(num_classes, num_classes)
    assert not counts[record.transition == 0].any(), "transition calls a flip impossible that happened"
    expected = counts.sum(1, keepdim=True) * record.transition
    variance = expected * (1 - record.transition)
    log_odds = math.log(2 * num_classes**2 / FALSE_ALARM)
    allowed = (2 * log_odds * variance + (log_odds / 3) ** 2).sqrt() + log_odds / 3
    true, wrong = divmod(int(((counts - expected).abs() - allowed).argmax()), num_classes)
    assert (counts - expected).abs()[true, wrong] <= allowed[true, wrong], (
        f"the labels were not drawn from transition: {counts[true, wrong]} of class {true} became {wrong}, "
        f"{expected[true, wrong]:.1f} were expected"
    )


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _global_random_state() -> tuple[object, ...]:
    numpy_state = np.random.get_state(legacy=False)["state"]
    return (
        random.getstate(),
        numpy_state["key"].tobytes(),
        numpy_state["pos"],
        torch.get_rng_state().numpy().tobytes(),
    )


def check_loss(loss: PerLabelLoss, *, num_classes: int = 5, seed: int = 0) -> None:
    """Assert that ``loss(logits, labels)`` keeps the contract of a loss.

    Checked are the shapes (k), (n, k) and (n, k, d1, d2), that every label gets the value it would get alone, that
    half precision is computed in float32, that value and gradient are there and finite for logits up to 1e4, that an
    empty batch works, that labels at ``ignore_index`` count for nothing, that inputs stay as they are, that the same
    call gives the same bits, and that labels which do not fit are refused instead of broadcast.

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
    _check_precision(loss, *batch(64))
    _check_range(loss, *batch(64, scale=1e4))
    _check_ignored(loss, *batch(n, *dense))
    _check_refusals(loss, num_classes, n, dense)


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
    assert gradient.any(), f"loss has a gradient of zero for all of {len(labels)} random labels"
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


def check_objective(build: BuildObjective, *, num_classes: int = 5, seed: int = 0) -> None:
    """Assert that the objective that ``build(num_samples)`` gives keeps the contract of an objective.

    Checked are that it gives a finite scalar of float32 or wider with a gradient, that the same calls give the same
    bits, that a sample seen twice is remembered as one seen once, that nothing is remembered in eval mode, that
    ``state_dict`` holds everything and survives ``torch.load(weights_only=True)``, that an empty batch gives a zero
    with a gradient, that inputs stay as they are, and that shapes which do not fit are refused instead of broadcast.

    Args:
        build: called as ``build(num_samples)``; gives a new objective of the same settings each time. It is trained
            for three epochs, so let whatever happens at the end of an epoch happen by then.
        num_classes: k, of the logits it is tried on.
        seed: of those logits.

    Raises:
        AssertionError: with what is wrong.

    Example:
        >>> from labelnoise.objectives import pruned_gce
        >>> check_objective(lambda num_samples: pruned_gce(num_samples, warmup=1, period=1))
    """
    generator = _generator(seed)
    n = max(64, 8 * num_classes)
    labels = torch.arange(n) % num_classes

    def epoch() -> _Epoch:
        noise = 6 * torch.rand(n, num_classes, generator=generator) - 3
        logits = noise + 3 * F.one_hot(labels, num_classes)  # about half of the labels believed
        order = torch.randperm(n, generator=generator).split(24)
        return [(logits[rows], labels[rows], rows) for rows in order], torch.rand(n, generator=generator)

    epochs = [epoch() for _ in range(3)]
    first_batch = epochs[0][0][0]

    def new() -> Objective:
        objective = build(n)
        assert isinstance(objective, Objective), f"build must give an Objective, got {type(objective).__name__}"
        return objective.train()

    trace = _play(new(), epochs)
    assert _same(trace, _play(new(), epochs)), "the same calls of two new objectives must give the same bits"
    assert trace[0][1].any(), f"objective has a gradient of zero for {len(first_batch[1])} random labels"
    _check_objective_dtypes(new, first_batch)
    _check_seen_twice(new, epochs)
    _check_eval_mode(new, epochs)
    _check_state_dict(new, epochs)
    _check_objective_empty(new, first_batch)
    _check_objective_refusals(new, first_batch)


def _check_objective_dtypes(new: Callable[[], Objective], batch: _Step) -> None:
    logits, *others = batch
    for dtype in (torch.float64, torch.float16, torch.bfloat16):
        _step(new(), logits.to(dtype), *others)


def _check_seen_twice(new: Callable[[], Objective], epochs: list[_Epoch]) -> None:
    def states(epochs: list[_Epoch]) -> list[Any]:
        return [entry for entry in _play(new(), epochs) if isinstance(entry, Mapping)]

    once = states(epochs)
    in_two_steps = [([batch for batch in batches for _ in range(2)], predicted) for batches, predicted in epochs]
    in_one_step = [([_twice(*batch) for batch in batches], predicted) for batches, predicted in epochs]
    rule = "a sample seen twice must leave the memory as one seen once does"
    assert _same(states(in_two_steps), once), f"{rule}, but not where it is seen in two steps"
    assert _same(states(in_one_step), once), f"{rule}, but not where it is seen twice in one step"


def _check_eval_mode(new: Callable[[], Objective], epochs: list[_Epoch]) -> None:
    objective, undisturbed = new(), new()
    for number, epoch in enumerate(epochs, 1):
        before = _state(objective)
        objective.eval()
        _play(objective, epochs[::-1])
        assert _same(_state(objective), before), "objective changes in eval mode"
        objective.train()
        assert _same(_play(objective, [epoch], number), _play(undisturbed, [epoch], number)), (
            "what the objective saw in eval mode changes what it does in train mode"
        )


def _check_state_dict(new: Callable[[], Objective], epochs: list[_Epoch]) -> None:
    for done in range(len(epochs) + 1):
        objective = new()
        _play(objective, epochs[:done])
        if done < len(epochs):
            _step(objective, *epochs[done][0][0])  # a checkpoint may come in the middle of an epoch
        file = io.BytesIO()
        torch.save(objective.state_dict(), file)
        file.seek(0)
        try:
            state = torch.load(file, weights_only=True)
        except Exception as error:
            raise AssertionError(f"state_dict must hold tensors and plain values only: {error}") from error
        restored = new()
        restored.load_state_dict(state)
        assert _same(_state(restored), _state(objective)), "state_dict comes back as another"
        later = [(batches[1:], predicted) for batches, predicted in (epochs[done:] or epochs)]
        assert _same(_play(restored, later, done + 1), _play(objective, later, done + 1)), (
            f"state_dict must hold everything, a restored objective goes on differently after epoch {done}"
        )


def _check_objective_empty(new: Callable[[], Objective], batch: _Step) -> None:
    objective = new()
    before = _state(objective)
    logits, labels, index = batch
    value, _ = _step(objective, logits[:0], labels[:0], index[:0])
    assert value == 0, f"objective of an empty batch must be zero, got {value.item()}"
    assert _same(_state(objective), before), "an empty batch changes the objective"


def _check_objective_refusals(new: Callable[[], Objective], batch: _Step) -> None:
    logits, labels, index = batch
    n, k = logits.shape
    objective = new()
    before = _state(objective)
    for wrong in [
        (logits[0], labels, index),
        (logits[:1], labels, index),
        (logits[..., None], labels, index),
        (logits, labels[0], index),
        (logits, labels[:1], index),
        (logits, labels[:1], index[:1]),
        (logits, labels[:-1], index[:-1]),
        (logits, labels[:, None], index),
        (logits, labels, index[0]),
        (logits, labels, index[:1]),
        (logits, labels, index[:-1]),
        (logits, labels, index[:, None]),
    ]:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in wrong)
        case = f"logits, labels, index must be ({n}, {k}), ({n},), ({n},); of {shapes} objective must raise ValueError"
        try:
            objective(*wrong)
        except ValueError:
            assert _same(_state(objective), before), f"{case} before it remembers anything"
            continue
        except Exception as error:
            raise AssertionError(f"{case}, raised {error!r}") from error
        raise AssertionError(f"{case}, raised nothing")


def _play(objective: Objective, epochs: list[_Epoch], first: int = 1) -> list[Any]:
    """What every step gives, and the state before and after every ``end_epoch``."""
    trace: list[Any] = []
    for number, (batches, predicted) in enumerate(epochs, first):
        trace += [_step(objective, *batch) for batch in batches]
        trace.append(_state(objective))
        objective.end_epoch(number, predicted.clone)
        trace.append(_state(objective))
    return trace


def _step(objective: Objective, logits: Tensor, labels: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Value and gradient of one batch, after the checks that hold for every legal one."""
    case = f"(logits {logits.dtype} {tuple(logits.shape)})"
    given = logits.clone().requires_grad_(), labels.clone(), index.clone()
    try:
        value = objective(*given)
    except Exception as error:
        raise AssertionError(f"objective raised {error!r} {case}") from error
    assert isinstance(value, Tensor), f"objective must give a tensor, got {type(value).__name__} {case}"
    assert value.shape == (), f"objective must give a scalar, got shape {tuple(value.shape)} {case}"
    assert value.dtype in (torch.float32, torch.float64), (
        f"objective must be float32 or wider, got {value.dtype} {case}"
    )
    assert value.requires_grad, f"objective has no gradient {case}"
    (gradient,) = torch.autograd.grad(value, given[0], materialize_grads=True)
    unchanged = all(torch.equal(now, before) for now, before in zip(given, (logits, labels, index), strict=True))
    assert unchanged, f"objective changes its inputs {case}"
    for name, tensor in (("objective", value), ("gradient", gradient)):
        assert tensor.isfinite().all(), f"{name} is NaN or infinite {case}"
    return value.detach(), gradient


def _twice(*tensors: Tensor) -> Any:
    return tuple(torch.cat([tensor, tensor]) for tensor in tensors)


def _state(objective: Objective) -> dict[str, Any]:
    return copy.deepcopy(dict(objective.state_dict()))


def _same(first: Any, second: Any) -> bool:
    """Equal to the bit, whatever is nested in whatever; NaN is as good as NaN."""
    if isinstance(first, Tensor):
        alike = isinstance(second, Tensor) and (first.shape, first.dtype) == (second.shape, second.dtype)
        return alike and bool(((first == second) | ((first != first) & (second != second))).all())
    if type(first) is not type(second):
        return False
    if isinstance(first, Mapping):
        return first.keys() == second.keys() and all(_same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(_same, first, second))
    return first == second
