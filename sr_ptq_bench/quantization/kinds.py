"""Kinds of quantizers beside the uniform one that several methods use; a state restores them without any method."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from .fake_quantize import fake_quantize
from .quantizer import Bounds, Quantizer

if TYPE_CHECKING:
    from torch import Tensor

    from .quantizer import Site


class LogSqrt2Quantizer(Quantizer):
    """Levels u 2^(-k/2), k = 0..2^b - 2, and `lower` as the last, for values in [0, u].

    RepQ-ViT (Li et al., ICCV 2023) has k = 0..2^b - 1: `lower` = u 2^(-(2^b - 1)/2). Its released code has zero as a
    further level: `lower` = 0 gives it the last code. A value goes to the nearest exponent.

    Round's gradient is 1. Without it u 2^(-k/2) is v whatever u is, so between the bounds dv_q/dv = v_q/v and
    dv_q/du = 0; dv_q/du = 1 above u, and dv_q/dl = 1 at the last code.
    """

    def quantize(self, v: Tensor) -> Tensor:
        """Fake-quantize `v`; values above u become u."""
        last = 2**self.bits - 1
        lower, upper = self.against(v, self.lower, self.upper)
        with torch.no_grad():
            tiny = torch.finfo(v.dtype).tiny
            k = (-2 * (v.clamp_min(tiny) / upper.clamp_min(tiny)).log2()).round_().clamp_(0, last)
            v_q = upper * torch.exp2(-k / 2)
            slope = v_q / v.clamp_min(tiny)
        if torch.is_grad_enabled():
            v_q = torch.where(v > upper, upper, v_q + slope * (v - v.detach()))
        return torch.where(k == last, lower.to(v.dtype), v_q)


class TwinUniformQuantizer(Quantizer):
    """Two uniform ranges, [l, m] and [m, u], with 2^(b-1) levels each, for which b >= 2.

    They share the level m, so there are 2^b - 1 levels. PTQ4ViT (Yuan et al., ECCV 2022) has m = 0 after GELU, and a
    small m after softmax. `middle` is 0, or the nearest number in [l, u], until a method sets it.
    """

    middle: Tensor

    def __init__(self, site: Site, bits: int) -> None:
        super().__init__(site, bits)
        self.middle = nn.Parameter(torch.zeros(()), requires_grad=False)

    def set_bounds(self, bounds: Bounds) -> None:
        """Replace the bounds, and the middle by the number in them that is nearest to zero."""
        super().set_bounds(bounds)
        self.middle.data = torch.zeros_like(self.lower).clamp(self.lower, self.upper)

    def quantize(self, v: Tensor) -> Tensor:
        """Fake-quantize `v`; a value at the middle belongs to either range."""
        lower, middle, upper = self.against(v, self.lower, self.middle.clamp(self.lower, self.upper), self.upper)
        low = fake_quantize(v, lower, middle, self.bits - 1)
        high = fake_quantize(v, middle, upper, self.bits - 1)
        return torch.where(v < middle, low, high)
