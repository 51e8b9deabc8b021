"""The plain method, as a careful engineer would first write it; the benchmarks compare with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sr_ptq_bench import Quantizer

if TYPE_CHECKING:
    from torch import Tensor


def fake_quantize(v: Tensor, lower: Tensor, upper: Tensor, bits: int) -> Tensor:
    """2DQuant eq. 1 in elementary operations under autograd; rounding passes its gradient through."""
    levels = 2**bits - 1
    clipped = torch.clamp(v, lower, upper)
    scaled = (clipped - lower) / (upper - lower).clamp_min(torch.finfo(v.dtype).tiny) * levels
    rounded = scaled + (scaled.round() - scaled).detach()
    v_q: Tensor = rounded / levels * (upper - lower) + lower
    return v_q


class NaiveQuantizer(Quantizer):
    """A quantizer of elementary operations."""

    def quantize(self, v: Tensor) -> Tensor:
        """Fake-quantize under plain autograd."""
        return fake_quantize(v, self.lower, self.upper, self.bits)


def search(v: Tensor, bits: int, one_sided: bool, k: int = 100, every: int = 1) -> tuple[int, Tensor]:
    """DOBI's Algorithm 1 with a pass over the whole tensor for each of its K + 1 candidates.

    Returns the winner's index and the errors. With `every` > 1 only each `every`-th candidate is tried.
    """
    low, high = v.min(), v.max()
    step = (high - low) / (2 * k)
    errors = []
    for i in range(0, k + 1, every):
        lower = low if one_sided else low + i * step
        upper = high - i * step
        errors.append((v - fake_quantize(v, lower, upper, bits)).norm())
    stacked = torch.stack(errors)
    return int(stacked.argmin()) * every, stacked
