"""The contract of an objective."""

import copy
import io
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from labelnoise.objectives import Objective

BuildObjective = Callable[[int], Objective]

_Step = tuple[Tensor, Tensor, Tensor]  # logits, labels, index
_Epoch = tuple[list[_Step], Tensor]  # its steps, and what predict() gives after them


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
    generator = torch.Generator().manual_seed(seed)
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
