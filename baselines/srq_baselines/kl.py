"""KL (Migacz, "8-bit inference with TensorRT", NVIDIA GTC 2017): the clipping that keeps most of a histogram's shape.

Of 2048 bins a candidate keeps a window of at least 2^b, with that of zero. P is the window's histogram with the clipped
mass in its end bins. Q is the window's own histogram, merged into 2^b equal ranges and spread evenly over the bins of
each that are not empty. The window with the least KL(P || Q) gives the bounds. Where clipped mass falls into a range
that is empty inside, Q is 1e-4, as in MXNet's code; zero would forbid to cut a single outlier.

NVIDIA searches one threshold of |v|, for 128 levels. Here the ends are searched in turn, the upper first, twice; an end
stays where no value is on its side of zero. Ranges differ by one bin at most, while NVIDIA's code gives the remainder
to the last. Weights are treated like activations; NVIDIA leaves their range.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from pydantic import Field

from sr_ptq_bench import Bounds, Distribution, PluginOptions, hookimpl

if TYPE_CHECKING:
    from torch import Tensor

LEAST = 1e-4


class Options(PluginOptions):
    """The histogram."""

    bins: int = Field(2048, ge=256, le=2**16, description="bins between minimum and maximum")


@hookimpl
def srq_init_bounds(distribution: Distribution, bits: int, options: Options) -> Bounds:
    """The edges of the best window."""
    low, high = distribution.minimum, distribution.maximum
    if low == high:
        return Bounds(low, high)
    edges = torch.linspace(low, high, options.bins + 1, dtype=torch.float64)
    bins = torch.searchsorted(edges[1:-1].contiguous(), distribution.values, right=True)
    sums = Sums.of(torch.bincount(bins, distribution.counts, options.bins))
    first, last, levels = 0, options.bins, 2**bits
    zero = min(max(int(-low / (high - low) * options.bins), 0), options.bins - 1)
    for _ in range(2):
        if high > 0:
            ends = torch.arange(max(first + levels, zero + 1), options.bins + 1)
            last = int(ends[divergences(sums, torch.full_like(ends, first), ends, levels).argmin()])
        if low < 0:
            starts = torch.arange(min(last - levels, zero) + 1)
            first = int(starts[divergences(sums, starts, torch.full_like(starts, last), levels).argmin()])
    return Bounds(edges[first], edges[last])


@dataclass(frozen=True)
class Sums:
    """A histogram and its prefix sums: of counts, of bins that are not empty, and of c log c; each (bins + 1,)."""

    counts: Tensor
    mass: Tensor
    filled: Tensor
    entropy: Tensor

    @classmethod
    def of(cls, counts: Tensor) -> Sums:
        """The sums of a histogram (bins,)."""
        each = (counts, (counts > 0).double(), torch.xlogy(counts, counts))
        return cls(counts, *(torch.nn.functional.pad(v.cumsum(0), (1, 0)) for v in each))


def divergences(sums: Sums, first: Tensor, last: Tensor, levels: int) -> Tensor:
    """KL(P || Q) of the windows first..last-1, (K,) and (K,) -> (K,); infinite for a window without mass.

    With c the counts of P, N their sum, Q_m the mass of range m, W that of the window and n_m its bins not empty in P:
    KL = (sum_j c_j log c_j)/N - log N - sum_m P_m log(Q_m / (n_m W)) / N.
    """
    total = sums.mass[-1]
    low_tail, high_tail = sums.mass[first], total - sums.mass[last]
    cuts = first[:, None] + (torch.arange(levels + 1) * (last - first)[:, None]) // levels
    inside, filled = sums.mass[cuts].diff(dim=1), sums.filled[cuts].diff(dim=1)
    own_entropy = sums.entropy[last] - sums.entropy[first]
    p = inside.clone()
    for column, bins, tail in ((0, first, low_tail), (-1, last - 1, high_tail)):
        end = sums.counts[bins]
        own_entropy += torch.xlogy(end + tail, end + tail) - torch.xlogy(end, end)
        filled[:, column] += ((end == 0) & (tail > 0)).double()
        p[:, column] += tail
    window = inside.sum(1, keepdim=True)
    q = torch.where(inside > 0, inside / (filled.clamp_min(1) * window.clamp_min(1)), LEAST)
    divergence = (own_entropy - torch.xlogy(p, q).sum(1)) / total - total.log()
    return torch.where(window[:, 0] > 0, divergence, torch.inf)
