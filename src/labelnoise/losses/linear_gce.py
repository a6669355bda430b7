"""The last linear layer and Lq together, in chunks of rows: the logits of very many classes never exist all at once."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from labelnoise._types import Reduction
from labelnoise.losses import _fused
from labelnoise.losses._box_cox import check_q
from labelnoise.losses._chunks import Sum, Targets, Values, autocasts, product_dtype
from labelnoise.losses._contract import (
    _describe,
    _reduce,
    check_options,
    check_per_sample,
    check_tensors,
    hold,
    settings_of,
)
from labelnoise.losses.gce import gce_loss


def linear_gce_loss(
    hidden: Float[Tensor, "*labels d"],
    linear_weight: Float[Tensor, "k d"],
    labels: Int64[Tensor, "*labels"],
    *,
    linear_bias: Float[Tensor, "k"] | None = None,
    q: float | Float[Tensor, "..."] = 0.7,
    weight: Float[Tensor, "k"] | None = None,
    sample_weight: Float[Tensor, "*labels"] | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Float[Tensor, "*values"]:
    r"""Lq of the logits ``hidden @ linear_weight.T + linear_bias``: **q near 0 is cross entropy, q near 1 is MAE**.

    It is ``gce_loss(F.linear(hidden, linear_weight, linear_bias), labels, q)``. From 2^22 logits on they are made,
    turned into their gradient and used up some rows at a time, so that beside the gradients of ``hidden`` and
    ``linear_weight`` only one chunk of them takes memory, where the two calls hold all of them twice. At q = 1
    the gradient is the one of dynamic fine-tuning (DFT), cross entropy times the detached p_y.

    Args:
        hidden: what the last layer takes, shape (d), (n, d), or (batch, length, d) and so on. Under autocast the
            product is in autocast's dtype; from 2^22 logits on float16 is computed in float32, and sums are float32 or
            wider.
        linear_weight, linear_bias: of the last layer, as ``nn.Linear`` holds them.
        labels: int64 class indices of the shape of ``hidden`` without d.
        q: 0 is cross entropy, 1 is 1 - p_y; a number, or a tensor of one q or of one a label. Default 0.7: section 4 of
            the paper.
        weight: one factor a class, multiplied onto the loss value.
        sample_weight: one factor a label, multiplied onto the loss value, such as 0 for what is pruned.
        ignore_index: a label that counts for nothing.
        reduction: ``"mean"`` divides by the sum of both kinds of weights, so that pruned labels leave the step as large
            as it was; ``"sum"``; or ``"none"``, whose backward makes the logits once more.

    Returns:
        a scalar, or with ``reduction="none"`` one value a label; float32, or float64 for float64 inputs.

    Raises:
        ValueError: q < 0 or a q that needs a gradient, shapes or dtypes that do not fit, and on the CPU a label out of
            range.
        RuntimeError: in a ``backward(create_graph=True)`` of 2^22 logits and more, which has no second derivative, or a
            ``torch.func.vmap`` over the backward of ``reduction="none"``.

    Example:
        >>> import torch
        >>> layer = torch.nn.Linear(3, 5)
        >>> hidden, labels = torch.randn(4, 3), torch.tensor([0, 4, 2, -100])
        >>> loss = linear_gce_loss(hidden, layer.weight, labels, linear_bias=layer.bias)
        >>> torch.allclose(loss, gce_loss(layer(hidden), labels))
        True

    When it hurts: few classes, where it is the two calls; a language model that starts from random weights, where at
    q = 0.7 the gradients are about k^-0.7.

    Source: Zhang and Sabuncu 2018 (arXiv 1805.07836), section 3.2; DFT: Wu et al. 2025 (arXiv 2508.05629).
    """
    k = _check_shapes(hidden, linear_weight, linear_bias, labels)
    check_q(q)
    check_options(weight, ignore_index, reduction, 0.0, k)
    shape, wide = labels.shape, torch.promote_types(hidden.dtype, torch.float32)
    if isinstance(q, Tensor):
        q = q.to(hidden.device, wide)
        if q.ndim:
            check_per_sample("q", q, shape)
            q = q.flatten()
    if sample_weight is not None:
        check_per_sample("sample_weight", sample_weight, shape)
    hidden, labels = hidden.reshape(-1, hidden.shape[-1]), labels.flatten()
    try:
        factor = _factor(labels, weight, sample_weight, ignore_index, wide)
        layer = [tensor for tensor in (hidden, linear_weight, linear_bias) if tensor is not None]
        targets = Targets(labels, q, ignore_index, product_dtype(hidden))
        if torch.compiler.is_compiling() or len(labels) * k < _fused.FUSED_FROM or not _fused.is_plain(*layer, factor):
            logits = F.linear(hidden, linear_weight, linear_bias)
            values = factor * gce_loss(logits, labels, q, ignore_index=ignore_index, reduction="none")
        elif reduction == "none" or factor.requires_grad or not torch.is_grad_enabled():
            values = factor * Values.apply(hidden, linear_weight, linear_bias, targets)
        else:
            values = Sum.apply(hidden, linear_weight, linear_bias, factor, targets)
    except IndexError as error:  # see transformed_cross_entropy
        raise ValueError(f"labels must be within [0, {k}) or ignore_index {ignore_index}: {error}") from None
    return _reduce(values.view(shape) if reduction == "none" else values, factor, reduction)


class LinearGCELoss(nn.Module):
    """Module form of :func:`linear_gce_loss`, for a layer that is handed in: ``loss(hidden, layer.weight, labels)``."""

    q: float | Tensor
    weight: Tensor | None

    def __init__(
        self,
        *,
        q: float | Float[Tensor, "..."] = 0.7,
        weight: Float[Tensor, "k"] | None = None,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        check_q(q)
        check_options(weight, ignore_index, reduction, 0.0)
        hold(self, "q", q)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.reduction: Reduction = reduction

    def forward(
        self,
        hidden: Tensor,
        linear_weight: Tensor,
        labels: Tensor,
        *,
        linear_bias: Tensor | None = None,
        sample_weight: Tensor | None = None,
    ) -> Tensor:
        return linear_gce_loss(
            hidden,
            linear_weight,
            labels,
            linear_bias=linear_bias,
            q=self.q,
            weight=self.weight,
            sample_weight=sample_weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
        )

    def extra_repr(self) -> str:
        return settings_of(self)


def _factor(
    labels: Tensor, weight: Tensor | None, sample_weight: Tensor | None, ignore_index: int, dtype: torch.dtype
) -> Tensor:
    """What each label counts for."""
    kept = labels != ignore_index
    factor = kept.to(dtype)
    if weight is not None:
        factor = torch.where(kept, weight.to(labels.device, dtype)[labels.where(kept, 0)], 0)
    if sample_weight is not None:
        factor = factor * sample_weight.flatten().to(labels.device, dtype)
    return factor


def _check_shapes(hidden: Tensor, linear_weight: Tensor, linear_bias: Tensor | None, labels: Tensor) -> int:
    """The number of classes, once everything is known to fit without broadcasting."""
    check_tensors(hidden=hidden, linear_weight=linear_weight, labels=labels)
    if not hidden.is_floating_point() or hidden.ndim == 0:
        raise ValueError(f"hidden must be floating point of shape (d), (n, d) or (.., n, d), got {_describe(hidden)}")
    if linear_weight.ndim != 2 or linear_weight.shape[1] != hidden.shape[-1] or len(linear_weight) == 0:
        got = _describe(linear_weight)
        raise ValueError(f"linear_weight must be of shape (k, {hidden.shape[-1]}), as hidden's last size, got {got}")
    k = len(linear_weight)
    if linear_bias is not None:
        check_tensors(linear_bias=linear_bias)
        if linear_bias.shape != (k,):
            raise ValueError(f"linear_bias must be of shape ({k},), got {_describe(linear_bias)}")
    if labels.dtype != torch.int64 or labels.shape != hidden.shape[:-1]:
        wanted = tuple(hidden.shape[:-1])
        raise ValueError(f"labels must be int64 class indices of shape {wanted}, got {_describe(labels)}")
    for name, tensor in (("linear_weight", linear_weight), ("linear_bias", linear_bias)):
        if tensor is not None and tensor.dtype != hidden.dtype and not autocasts(hidden):
            raise ValueError(f"{name} must be of hidden's dtype, {hidden.dtype}, got {_describe(tensor)}")
    return k
