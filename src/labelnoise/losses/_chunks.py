"""A linear layer and Lq over chunks of rows: each chunk's logits are made, turned into their gradient and used up."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor

from labelnoise.losses import _fused
from labelnoise.losses._box_cox import box_cox, box_cox_slope

# Logits of a chunk, but never fewer rows than a matrix product needs to be fast: 16 MiB of float32 on a CPU. Below 192
# rows, logits @ weight takes half as long again a row.
_CHUNK, _CHUNK_OF_ACCELERATOR, _FEWEST_ROWS = 2**22, 2**25, 192

# A sum in bfloat16 is rounded at every chunk, to one part in 256 at worst. Over 32 of them that comes to less than the
# product of the matrices is off by itself, and no chunk is too small a part of the sum to be seen.
_MOST_CHUNKS_OF_BFLOAT16 = 32

# Elements of a product that is made in half precision and added to a float32 sum.
_BLOCK = 2**20


class Targets(NamedTuple):
    """What the logits are held against."""

    labels: Tensor
    q: float | Tensor
    ignore_index: int
    dtype: torch.dtype
    """Of the matrix products."""


class Gradients(NamedTuple):
    hidden: Tensor | None
    linear_weight: Tensor | None
    linear_bias: Tensor | None


def _in_chunks(
    hidden: Tensor,
    linear_weight: Tensor,
    linear_bias: Tensor | None,
    targets: Targets,
    factor: Tensor | None,
    needed: Sequence[bool],
) -> tuple[Tensor, Gradients]:
    """Lq of each row and, where ``factor`` is given, the ``needed`` gradients of the sum of factor times Lq."""
    labels, q, ignore_index, dtype = targets
    wide = torch.promote_types(dtype, torch.float32)
    of_hidden = torch.empty(hidden.shape, dtype=_kept_dtype(hidden), device=hidden.device) if needed[0] else None
    of_weight = torch.zeros_like(linear_weight, dtype=_kept_dtype(linear_weight)) if needed[1] else None
    of_bias = torch.zeros(len(linear_weight), dtype=wide, device=hidden.device) if needed[2] else None
    most = None if of_weight is None or of_weight.dtype != torch.bfloat16 else _MOST_CHUNKS_OF_BFLOAT16
    values = torch.empty(labels.shape, dtype=wide, device=hidden.device)
    # The dtype has been decided: no product is to be cast once more.
    with torch.autocast(hidden.device.type, enabled=False) if autocasts(hidden) else nullcontext():
        weight, bias = linear_weight.to(dtype), None if linear_bias is None else linear_bias.to(dtype)
        chunk = _rows_of_chunk(len(labels), len(weight), hidden.device, most=most)
        buffer = torch.empty(chunk, len(weight), dtype=dtype, device=hidden.device)  # else two of them come to be held
        for first in range(0, len(labels), chunk):
            rows = slice(first, first + chunk)
            inputs, q_of_rows = hidden[rows].to(dtype), q[rows] if isinstance(q, Tensor) and q.ndim else q
            product, columns = buffer[: len(inputs)], weight.mT
            logits = (
                torch.mm(inputs, columns, out=product)
                if bias is None
                else torch.addmm(bias, inputs, columns, out=product)
            )
            out = None if factor is None else logits
            cross_entropy = _fused.softmax_minus_one_hot(logits, labels[rows], ignore_index, out=out)
            values[rows] = box_cox(cross_entropy, q_of_rows)
            if factor is None:
                continue
            # Kept off the softmax, whose half-precision digits are few, and on the smaller of the two matrices.
            slope = (factor[rows] * box_cox_slope(cross_entropy, q_of_rows)).unsqueeze(1)
            if of_hidden is not None:
                of_hidden[rows] = ((logits @ weight) * slope).to(of_hidden.dtype)
            if of_weight is not None:
                _add_product(of_weight, logits, (inputs * slope).to(dtype))
            if of_bias is not None:
                of_bias += (logits.mT @ slope.to(dtype)).squeeze(1)
    return values, Gradients(of_hidden, of_weight, of_bias)


class Values(torch.autograd.Function):
    """One value a row; what their gradient is multiplied by is not known before the backward."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, linear_weight: Tensor, linear_bias: Tensor | None, targets: Targets
    ) -> Tensor:
        q = targets.q if isinstance(targets.q, Tensor) else None
        ctx.save_for_backward(hidden, linear_weight, linear_bias, targets.labels, q)
        ctx.targets = targets
        return _in_chunks(hidden, linear_weight, linear_bias, targets, None, needed=(False, False, False))[0]

    @staticmethod
    def backward(ctx: Any, *of_values: Tensor) -> tuple[Tensor | None, ...]:
        _fused.refuse_second_derivative()
        if _fused.is_batched(of_values[0]):
            raise RuntimeError("linear_gce_loss has one backward at a time where it is not reduced; no vmap over it")
        hidden, linear_weight, linear_bias, labels, _ = ctx.saved_tensors  # raises where somebody has written on them
        factor = of_values[0].where(labels != ctx.targets.ignore_index, 0)
        _, gradients = _in_chunks(hidden, linear_weight, linear_bias, ctx.targets, factor, needed=ctx.needs_input_grad)
        return *gradients, None


class Sum(torch.autograd.Function):
    """The sum of factor times value; its gradients are made on the way, but for the one number they end up times."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        linear_weight: Tensor,
        linear_bias: Tensor | None,
        factor: Tensor,
        targets: Targets,
    ) -> Tensor:
        needed = ctx.needs_input_grad
        values, gradients = _in_chunks(
            hidden, linear_weight, linear_bias, targets, factor if any(needed) else None, needed=needed
        )
        ctx.save_for_backward(*gradients)
        return (values * factor).sum()

    @staticmethod
    def backward(ctx: Any, *of_sum: Tensor) -> tuple[Tensor | None, ...]:
        _fused.refuse_second_derivative()
        overwrite = _fused.may_overwrite(of_sum[0])
        scaled = [
            gradient if gradient is None else gradient.mul_(of_sum[0]) if overwrite else gradient * of_sum[0]
            for gradient in ctx.saved_tensors
        ]
        return *scaled, None, None


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add left.T @ right, where under autocast the sum is float32 and the product is not."""
    if total.dtype == left.dtype:
        total.addmm_(left.mT, right)
        return
    rows = max(1, _BLOCK // right.shape[1])
    for first in range(0, len(total), rows):
        total[first : first + rows] += left[:, first : first + rows].mT @ right


def _rows_of_chunk(n: int, k: int, device: torch.device, *, most: int | None) -> int:
    rows = max(_FEWEST_ROWS, (_CHUNK if device.type == "cpu" else _CHUNK_OF_ACCELERATOR) // k)
    return max(1, min(n, rows if most is None else max(rows, -(-n // most))))


def autocasts(hidden: Tensor) -> bool:
    """Whether ``F.linear`` would compute in autocast's dtype."""
    device = hidden.device.type
    if not torch.amp.is_autocast_available(device):
        return False
    return torch.is_autocast_enabled(device) and hidden.dtype != torch.float64


def product_dtype(hidden: Tensor) -> torch.dtype:
    """What ``F.linear`` computes in here; of float16, whose range gradients leave, float32."""
    dtype = torch.get_autocast_dtype(hidden.device.type) if autocasts(hidden) else hidden.dtype
    return torch.float32 if dtype == torch.float16 else dtype


def _kept_dtype(tensor: Tensor) -> torch.dtype:
    """Of a gradient that has yet to be multiplied by 1/n and a gradient scaler's factor."""
    return torch.float32 if tensor.dtype == torch.float16 else tensor.dtype
