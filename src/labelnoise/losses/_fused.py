"""Cross entropy of a few million logits and more, in one buffer of their size where torch holds three.

Both it and its gradient come from the softmax, so one pass over the logits finds the value and leaves
softmax - one_hot behind; the backward multiplies that in place. Half precision goes tile by tile, so that no more than
a tile is ever float32, and none leaves the cache before it is done.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch._C._autograd import _get_current_graph_task_keep_graph
from torch._C._functorch import is_legacy_batchedtensor
from torch.autograd import forward_ad

FUSED_FROM = 2**22
"""Elements of the logits from which their memory counts for more than the calls of a loop over tiles."""

# Elements of a tile: 1 MiB of float32, the second-level cache of one core; on an accelerator, enough to keep it busy.
_TILE, _TILE_OF_ACCELERATOR = 2**18, 2**24

# Cross entropy at which p_y is 1e-30, far from float32's subnormal numbers, of which few digits are left.
_LARGEST_FROM_SOFTMAX = 69.0

_HALF = (torch.float16, torch.bfloat16)

# float16 ends at 6e-8, where many classes have their probabilities. Times 2^15 they reach down to 2e-12.
_FLOAT16_SCALE = 2.0**15


def is_fused(logits: Tensor) -> bool:
    """Whether ``fused_cross_entropy`` takes these logits: by size, dtype and what is about to happen to them.

    Compiled code fuses by itself, and torch.func, forward-mode AD and subclasses of tensors need operations they can
    look into.
    """
    return (
        not torch.compiler.is_compiling()
        and logits.ndim > 1
        and logits.numel() >= FUSED_FROM
        and logits.dtype in (torch.float32, *_HALF)
        and is_plain(logits)
    )


def is_plain(*tensors: Tensor) -> bool:
    """Whether none of these is seen by a transform or a class of its own, so that they may be overwritten unseen."""
    return not torch._C._are_functorch_transforms_active() and all(
        type(tensor) in (Tensor, nn.Parameter) and forward_ad.unpack_dual(tensor).tangent is None for tensor in tensors
    )


def fused_cross_entropy(
    logits: Float[Tensor, "n k *dense"], labels: Int64[Tensor, "n *dense"], ignore_index: int
) -> Float[Tensor, "n *dense"]:
    """``F.cross_entropy(logits.float(), labels, reduction="none", ignore_index=ignore_index)``.

    A second backward through a graph that was retained is right; a second derivative is refused.
    """
    if torch.is_grad_enabled() and logits.requires_grad:
        return _CrossEntropy.apply(logits, labels, ignore_index)
    return softmax_minus_one_hot(logits, labels, ignore_index, out=None)


def softmax_minus_one_hot(logits: Tensor, labels: Tensor, ignore_index: int, *, out: Tensor | None) -> Tensor:
    """Cross entropy of each label, in float32 or wider; its gradient by the logits, softmax - one_hot, goes to ``out``.

    ``out`` may be the logits themselves. In float16 it holds ``scale_of`` times the gradient. Rows of ignored labels
    have the value 0, and in ``out`` whatever comes.
    """
    index, scale = labels.where(labels != ignore_index, 0).unsqueeze(1), scale_of(logits)
    values = torch.empty(labels.shape, dtype=torch.promote_types(logits.dtype, torch.float32), device=logits.device)
    flat, flat_index, flat_labels, flat_values = _flat(logits, 2), _flat(index, 2), _flat(labels, 1), _flat(values, 1)
    flat_out = None if out is None else _flat(out, 2)
    # From the softmax to its place, with no copy.
    straight = out is not None and out is not logits and logits.dtype == values.dtype
    cross_entropy = _by_label if logits.device.type == "cpu" else _by_largest
    for tile, row in _tiles(flat, whole=straight):
        wide = flat[tile].to(values.dtype)
        softmax = torch.softmax(wide, 1, out=flat_out[tile] if flat_out is not None and straight else None)
        flat_values[row] = cross_entropy(softmax, wide, flat_labels[row], ignore_index)
        if flat_out is None:
            continue
        chosen = flat_index[tile]
        softmax.scatter_add_(1, chosen, softmax.new_full((), -1.0).expand(chosen.shape))
        if not straight:
            flat_out[tile] = softmax if scale == 1 else softmax.mul_(scale)
    return values.masked_fill_(labels == ignore_index, 0)


def _by_label(softmax: Tensor, wide: Tensor, labels: Tensor, ignore_index: int) -> Tensor:
    """Cross entropy of one tile, anything where the label is ignored; nll_loss checks the label as it looks it up."""
    values = F.nll_loss(softmax, labels, reduction="none", ignore_index=ignore_index).neg_().log_().neg_()
    vanished = (values > _LARGEST_FROM_SOFTMAX) & (labels != ignore_index)
    return _by_largest(softmax, wide, labels, ignore_index) if vanished.any() else values


def _by_largest(softmax: Tensor, wide: Tensor, labels: Tensor, ignore_index: int) -> Tensor:
    """The same in two more passes, but without a look at any value: the largest p, exp(0) / sum, is at least 1 / k."""
    above_label = wide.amax(1) + F.nll_loss(wide, labels, reduction="none", ignore_index=ignore_index)
    return above_label - softmax.amax(1).log()


def scale_of(gradient: Tensor) -> float:
    """The factor a saved gradient carries so that its small values stay."""
    return _FLOAT16_SCALE if gradient.dtype == torch.float16 else 1.0


def may_overwrite(of_value: Tensor) -> bool:
    """In a backward: whether what was saved is used for the last time, and by this one gradient alone."""
    return not _get_current_graph_task_keep_graph() and not is_batched(of_value)


def is_batched(of_value: Tensor) -> bool:
    """In a backward: whether it stands for several at once, as under vmap and with ``is_grads_batched``."""
    return torch._C._are_functorch_transforms_active() or is_legacy_batchedtensor(of_value)


def refuse_second_derivative() -> None:
    """In a backward: raise where it is to be differentiated itself (``create_graph=True``)."""
    if torch.is_grad_enabled():
        raise RuntimeError(
            f"a loss of {FUSED_FROM:,} logits and more has no second derivative by backward(create_graph=True); "
            "torch.func.grad and torch.func.hessian have it"
        )


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, ignore_index: int) -> Tensor:
        gradient = torch.empty(logits.shape, dtype=logits.dtype, device=logits.device)
        values = softmax_minus_one_hot(logits, labels, ignore_index, out=gradient)
        ctx.save_for_backward(gradient, labels)
        ctx.ignore_index = ignore_index
        return values

    @staticmethod
    def backward(ctx: Any, *of_values: Tensor) -> tuple[Tensor, None, None]:
        refuse_second_derivative()
        gradient, labels = ctx.saved_tensors
        # What the loss is multiplied by, such as 1/n, comes in here, in float32, and not into what was saved.
        factor = (of_values[0] / scale_of(gradient)).where(labels != ctx.ignore_index, 0).unsqueeze(1)
        if not may_overwrite(factor):
            return (gradient * factor).to(gradient.dtype), None, None
        flat, flat_factor = _flat(gradient, 2), _flat(factor, 2)
        for tile, _ in _tiles(flat, whole=gradient.dtype == factor.dtype):
            flat[tile].mul_(flat_factor[tile])
        return gradient, None, None


def _flat(tensor: Tensor, dim: int) -> Tensor:
    """The dense dimensions, from ``dim`` on, as one."""
    return tensor.flatten(dim) if tensor.ndim > dim else tensor


def _tiles(flat: Tensor, *, whole: bool) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Slices of (n, k) or (n, k, m) with all classes of some rows, and the same of what has one value a row.

    One of the ``whole`` where no copy in float32 has to stay small.
    """
    n, k, *dense = flat.shape
    size = _TILE * torch.get_num_threads() if flat.device.type == "cpu" else _TILE_OF_ACCELERATOR
    size = flat.numel() if whole else size
    rows, columns = max(1, size // (k * max(1, *dense, 1))), max(1, size // k)
    for first in range(0, n, rows):
        for left in range(0, dense[0] if dense else 1, columns):
            row, column = slice(first, first + rows), slice(left, left + columns)
            yield ((row, slice(None), column), (row, column)) if dense else ((row,), (row,))
