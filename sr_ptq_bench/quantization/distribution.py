"""What a calibration pass keeps of a tensor: its exact range and a fine histogram.

The distribution gives the quantization error of any bounds without the tensor, so a search over bounds takes
milliseconds, for ten patches as for ten thousand.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..errors import SrqError

if TYPE_CHECKING:
    import numpy as np

    Ends = float | Tensor | np.ndarray | list[float]

BINS = 2**16
FAR = 1e3
"""Ranges: how far from zero a distribution is narrow."""
_PIECE = 2**17  # elements that stay in the processor's cache between two operations
_BLOCK = 2**20  # elements that are counted at once: many more than there are bins


@dataclass(frozen=True, eq=False)
class Distribution:
    """The distribution of a tensor: `counts[i]` of its elements are at `values[i]`; values ascend.

    A small tensor (a weight) keeps all its `elements`, sorted and each once, so that errors are exact. A large one (an
    activation) keeps 2^16 equal bins over its range, and its values are their centres. `channel_minimum` and
    `channel_maximum`, of shape (C,), are the exact ranges per channel if the site has channels.
    A small tensor keeps its elements by channel too, (C, n).
    """

    minimum: float
    maximum: float
    bin_counts: Tensor
    elements: Tensor | None = None
    channel_minimum: Tensor | None = None
    channel_maximum: Tensor | None = None
    channel_elements: Tensor | None = None

    @classmethod
    def of_tensor(cls, v: Tensor, channel_axis: int | None = None) -> Distribution:
        """Keep what is needed of `v` (any shape, at least one element)."""
        v = v.detach()
        low, high = v.aminmax()
        least, most = None, None
        if channel_axis is not None:
            least, most = (end.cpu() for end in channel_range(v, channel_axis))
        if v.numel() > BINS:
            return cls(float(low), float(high), histogram(v, low, high).cpu(), None, least, most)
        elements, counts = torch.unique(v, return_counts=True)
        channels = None if channel_axis is None else v.movedim(channel_axis, 0).reshape(v.shape[channel_axis], -1).cpu()
        return cls(float(low), float(high), counts.to("cpu", torch.int32), elements.cpu(), least, most, channels)

    def channels(self) -> list[Distribution]:
        """The distribution of each channel; none of an activation and of a tensor of more than 2^16 elements."""
        return [] if self.channel_elements is None else [Distribution.of_tensor(v) for v in self.channel_elements]

    def weighted(self, weights: Tensor) -> Distribution:
        """The same values with their counts times `weights` (B,): errors and quantiles are weighted ones then."""
        return replace(self, bin_counts=self.counts * weights, channel_elements=None)

    @property
    def is_histogram(self) -> bool:
        """Whether the values are bin centres and not the elements themselves."""
        return self.elements is None

    @property
    def values(self) -> Tensor:
        """Elements or bin centres: (B,) float64, ascending."""
        if self.elements is not None:
            return self.elements.double()
        centres = (torch.arange(self.bin_counts.numel(), dtype=torch.float64) + 0.5) / self.bin_counts.numel()
        return self.minimum + (self.maximum - self.minimum) * centres

    @property
    def counts(self) -> Tensor:
        """How many elements are at each value: (B,) float64; `bin_counts` holds integers, to save memory."""
        return self.bin_counts.double()

    @property
    def count(self) -> int:
        """Number of elements observed."""
        return int(self.bin_counts.sum())

    @property
    def origin(self) -> float:
        """Zero, or for a narrow range far from zero its minimum: squares of such values have no digits left for it."""
        return self.minimum if abs(self.minimum) > FAR * (self.maximum - self.minimum) else 0.0

    def squared_error(self, lower: Ends, upper: Ends, bits: int) -> Tensor:
        """||v - v_q||_2^2 of one pair of bounds, or of K candidates at once: () or (K,) -> the same shape, float64.

        Bounds are numbers, NumPy arrays, lists or tensors of any type; one number goes with K of the other end. Raises
        SrqError for anything else.

        Elements that round to one level q form an interval of values; it adds S_2 - 2 q S_1 + q^2 S_0 to the error,
        with the interval's sums of squares, values and counts. Clipped elements belong to
        the first and the last interval.
        """
        values, sums = _prefix_sums(self)
        levels = 2**bits - 1
        ends = [end - self.origin for end in _ends(lower, upper)]
        lower, upper = (end.reshape(-1, 1) for end in ends)
        grid = torch.arange(levels + 1, dtype=torch.float64) / levels
        q = lower + (upper - lower) * grid
        cuts = torch.searchsorted(values, (q[:, 1:] + q[:, :-1]) / 2)
        first = torch.nn.functional.pad(cuts, (1, 0))
        last = torch.nn.functional.pad(cuts, (0, 1), value=values.numel())
        s0, s1, s2 = sums[:, last] - sums[:, first]
        error: Tensor = (s2 - 2 * q * s1 + q**2 * s0).sum(1).clamp_min(0)
        return error.reshape(ends[0].shape)

    def quantile(self, fraction: float) -> float:
        """The smallest value with at least `fraction` (0 to 1) of the elements at or below it; of 0 and 1 the ends."""
        if fraction in (0, 1):
            return self.minimum if fraction == 0 else self.maximum
        values, sums = _prefix_sums(self)
        cumulative = sums[0, 1:]
        index = torch.searchsorted(cumulative, fraction * cumulative[-1])
        value = float(values[min(int(index), values.numel() - 1)]) + self.origin
        return min(max(value, self.minimum), self.maximum)


def _ends(lower: Ends, upper: Ends) -> tuple[Tensor, Tensor]:
    """Both ends as float64 tensors of one shape, () or (K,), on the CPU; raises SrqError."""
    try:
        pair = [torch.as_tensor(end).detach().to("cpu", torch.float64) for end in (lower, upper)]
        low, high = torch.broadcast_tensors(*pair)
    except (TypeError, ValueError, RuntimeError) as error:
        raise SrqError(f"squared_error takes numbers, arrays or tensors as bounds: {error}") from error
    if low.ndim > 1:
        raise SrqError(f"squared_error takes bounds of shape () or (K,); got {tuple(low.shape)}")
    return low, high


@lru_cache(maxsize=1)  # a site is asked several times in a row; the sums of hundreds of sites would add up
def _prefix_sums(distribution: Distribution) -> tuple[Tensor, Tensor]:
    """Values (B,) and prefix sums of count, value and square (3, B + 1): the sums of an interval are two look-ups.

    The values are less the distribution's `origin`.
    """
    values, counts = distribution.values - distribution.origin, distribution.counts
    powers = torch.stack([counts, counts * values, counts * values**2])
    return values, torch.nn.functional.pad(powers.cumsum(1), (1, 0))


def channel_range(v: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Minimum and maximum of every channel, each (C,)."""
    last_first = v.detach().movedim(axis, -1)
    channels = last_first.shape[-1]
    rows = last_first.reshape(-1, channels)
    # The CPU reduces slowly along a long axis, and compares two wide rows quickly: fold first.
    wide = max(1, _PIECE // channels)
    folded = rows[: len(rows) // wide * wide].reshape(-1, wide * channels)
    low, high = rows[:1].repeat(wide, 1).view(-1), rows[:1].repeat(wide, 1).view(-1)
    for row in folded:
        torch.minimum(low, row, out=low)
        torch.maximum(high, row, out=high)
    rest = rows[len(folded) * wide :]
    return (
        torch.cat([low.view(wide, channels), rest]).amin(0),
        torch.cat([high.view(wide, channels), rest]).amax(0),
    )


def histogram(v: Tensor, low: Tensor, high: Tensor, bins: int = BINS) -> Tensor:
    """Counts of the elements of `v` in `bins` equal bins over [low, high]: (bins,) int64."""
    return add_to_histogram(torch.zeros(bins, dtype=torch.int64, device=v.device), v, low, high)


def add_to_histogram(counts: Tensor, v: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Add the elements of `v` to `counts` (bins,), a histogram of equal bins over [low, high], in place."""
    bins = counts.numel()
    scale = _scale(low, high, bins, v.dtype)
    for block in v.detach().reshape(-1).split(_BLOCK):
        index = torch.empty(block.shape, dtype=torch.int32, device=v.device)
        for x, i in zip(block.split(_PIECE), index.split(_PIECE), strict=True):
            i.copy_((x - low).mul_(scale).clamp_(0, bins - 1))
        counts += torch.bincount(index, minlength=bins)
    return counts


def bin_of(v: Tensor, distribution: Distribution) -> Tensor:
    """Where the elements of `v` (N,) are among the values of their distribution: (N,) int32."""
    bins = distribution.bin_counts.numel()
    if distribution.elements is not None:
        elements = distribution.elements.to(v.device)
        return torch.searchsorted(elements, v.contiguous(), out_int32=True).clamp_(0, bins - 1)
    low, high = (
        torch.tensor(end, dtype=v.dtype, device=v.device) for end in (distribution.minimum, distribution.maximum)
    )
    return (v - low).mul_(_scale(low, high, bins, v.dtype)).clamp_(0, bins - 1).int()


def _scale(low: Tensor, high: Tensor, bins: int, dtype: torch.dtype) -> Tensor:
    """Bins per unit: the last number below `bins`, so that v = high falls into the last bin in float32 as well.

    A constant tensor has no width; all of it falls into the first bin.
    """
    return bins * (1 - 2**-20) / (high - low).clamp_min(torch.finfo(dtype).tiny * 2**24)
