"""Fake quantization and its gradients: 2DQuant eq. 1, 2 and 18.

Memory traffic limits elementwise work on a large tensor. So a tensor with one pair of bounds is quantized in pieces
that stay in the processor's cache, and by arithmetic instead of masks, because the CPU has no fast kernels for masks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE = 2**20  # elements of a forward pass, which touches two buffers; its results do not depend on the size
_BACKWARD_PIECE = 2**18  # five buffers; gradients of bounds are sums of pieces, so this size fixes their last bits


def fake_quantize(v: Tensor, lower: Tensor, upper: Tensor, bits: int, inplace: bool = False) -> Tensor:
    """Clip `v` to [lower, upper] and round it to 2^bits levels; differentiable in all three tensors.

    The bounds are of shape (), or broadcast against `v` with one entry per channel. Round's own gradient is 1
    (straight-through). An element that equals a bound counts as inside. With `inplace` the result may overwrite `v`
    if no gradient can be computed.
    """
    levels = 2**bits - 1
    if torch.is_grad_enabled():
        return _FakeQuantize.apply(v, lower, upper, levels)  # type: ignore[no-any-return]
    if inplace and v.is_contiguous():
        return _round_to_levels(v, v, lower, upper, levels)
    out = torch.empty_like(v)  # of the same strides, unless v has gaps or overlaps
    if out.stride() != v.stride():
        v = out.copy_(v)
    return _round_to_levels(v, out, lower, upper, levels)


def _round_to_levels(v: Tensor, out: Tensor, lower: Tensor, upper: Tensor, levels: int) -> Tensor:
    """Write the quantized `v` to `out`, which may be `v` itself; both dense and of the same strides."""
    size = upper - lower
    to_level, to_value = _above_zero(size).reciprocal() * levels, size / levels
    for x, q in _pieces(_PIECE, lower, v, out):
        torch.sub(x, lower, out=q).mul_(to_level).round_().clamp_(0, levels).mul_(to_value).add_(lower)
    return out


def span(lower: Tensor, upper: Tensor) -> Tensor:
    """S = u - l, kept above zero so that a constant tensor quantizes to its constant and not to NaN."""
    return _above_zero(upper - lower)


def _above_zero(size: Tensor) -> Tensor:
    return size.clamp_min(torch.finfo(size.dtype).tiny * 2**24)


class _FakeQuantize(torch.autograd.Function):
    """Keeps its input, and its result, which the next layer keeps too; everything else is computed again."""

    @staticmethod
    def forward(ctx: Any, v: Tensor, lower: Tensor, upper: Tensor, levels: int) -> Tensor:
        v = v.contiguous()
        v_q = _round_to_levels(v, torch.empty_like(v), lower, upper, levels)
        ctx.save_for_backward(v, v_q, lower, upper)
        return v_q

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        v, v_q, lower, upper = ctx.saved_tensors
        grad = grad_outputs[0].contiguous()
        grad_v = torch.empty_like(v)
        outside, signed, error = (torch.zeros_like(lower) for _ in range(3))
        buffer: Tensor | None = None
        for x, q, g, g_v in _pieces(_BACKWARD_PIECE, lower, v, v_q, grad, grad_v):
            if buffer is None or buffer.shape != x.shape:
                buffer = torch.empty_like(x)
            clipped = torch.minimum(torch.maximum(x, lower, out=buffer), upper, out=buffer)
            side = torch.sub(x, clipped, out=g_v).sign_()  # -1 below l, 0 inside, 1 above u
            error += _total(clipped.sub_(q).mul_(g), lower)
            cut = torch.mul(side, g, out=buffer)
            signed += _total(cut, lower)
            outside += _total(cut.mul_(side), lower)
            torch.sub(g, cut, out=g_v)
        # dv_q/du = [v > u] + v_r/n - (v_c - l)/s, and the last two terms are (v_q - v_c)/s; dv_q/dl in the same way.
        slope = error / span(lower, upper)
        return grad_v, (outside - signed) / 2 + slope, (outside + signed) / 2 - slope, None


def _pieces(size: int, bound: Tensor, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Dense tensors of the same strides, cut into pieces of this size in the order of memory.

    Whole if small, for bounds per channel and on an accelerator.
    """
    if tensors[0].numel() <= size or bound.ndim or bound.device.type != "cpu":
        return iter([tensors])
    return zip(*(tensor.as_strided((tensor.numel(),), (1,)).split(size) for tensor in tensors), strict=True)


def _total(x: Tensor, bound: Tensor) -> Tensor:
    return x.sum_to_size(bound.shape) if bound.ndim else x.sum()
