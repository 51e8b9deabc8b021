"""What a calibration pass keeps of a tensor: its exact range and a fine histogram.

From it the quantization error of any bounds is known without the tensor, so that every search over bounds takes
milliseconds and is the same for ten patches and ten thousand.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

BINS = 2**16
_PIECE = 2**17  # elements that stay in the processor's cache between two operations
_BLOCK = 2**22  # elements that are counted at once: many more than there are bins


@dataclass(frozen=True, eq=False)
class Distribution:
    """`counts[i]` elements of the tensor are at `values[i]`; the values ascend.

    A small tensor (a weight) keeps every element, so that errors are exact. A large one (an activation) keeps the
    centres of 2^16 equal bins over its range. `channel_minimum` and `channel_maximum`, of shape (C,), are the exact
    ranges per channel where the site has channels.
    """

    minimum: float
    maximum: float
    values: Tensor
    counts: Tensor
    channel_minimum: Tensor | None = None
    channel_maximum: Tensor | None = None

    @classmethod
    def of_tensor(cls, v: Tensor, channel_axis: int | None = None) -> Distribution:
        """Keep what is needed of `v` (any shape, at least one element)."""
        v = v.detach()
        low, high = v.aminmax()
        ranges = channel_range(v, channel_axis) if channel_axis is not None else (None, None)
        if v.numel() > BINS:
            counts = histogram(v, low, high)
            return cls.of_histogram(float(low), float(high), counts, *ranges)
        values, repeats = torch.unique(v.double(), return_counts=True)
        return cls(float(low), float(high), values.cpu(), repeats.double().cpu(), *ranges)

    @classmethod
    def of_histogram(
        cls,
        minimum: float,
        maximum: float,
        counts: Tensor,
        channel_minimum: Tensor | None = None,
        channel_maximum: Tensor | None = None,
    ) -> Distribution:
        """Read `counts` as a histogram of equal bins over [minimum, maximum]."""
        centres = (torch.arange(counts.numel(), dtype=torch.float64) + 0.5) / counts.numel()
        values = minimum + (maximum - minimum) * centres
        return cls(minimum, maximum, values, counts.double().cpu(), channel_minimum, channel_maximum)

    @property
    def is_histogram(self) -> bool:
        """Whether the values are bin centres and not the elements themselves."""
        return self.values.numel() == BINS and self.minimum < float(self.values[0])

    @property
    def count(self) -> int:
        """Number of elements observed."""
        return int(self.counts.sum())

    @cached_property
    def _moments(self) -> Tensor:
        """Prefix sums of count, value and square: (3, B + 1), so that any interval's sums are two look-ups."""
        powers = torch.stack([self.counts, self.counts * self.values, self.counts * self.values**2])
        return torch.nn.functional.pad(powers.cumsum(1), (1, 0))

    def squared_error(self, lower: Tensor, upper: Tensor, bits: int) -> Tensor:
        """||v - v_q||_2^2 for K candidate bounds at once: (K,) and (K,) -> (K,), float64.

        Elements that round to one level form an interval of values; its share of the error is
        S_2 - 2 q S_1 + q^2 S_0 with the interval's sums of squares, values and counts. Clipped elements belong to
        the first and the last interval.
        """
        levels = 2**bits - 1
        lower, upper = (end.double().cpu()[:, None] for end in (lower, upper))
        grid = torch.arange(levels + 1, dtype=torch.float64) / levels
        q = lower + (upper - lower) * grid
        cuts = torch.searchsorted(self.values, (q[:, 1:] + q[:, :-1]) / 2)
        ends = (
            torch.nn.functional.pad(cuts, (1, 0)),
            torch.nn.functional.pad(cuts, (0, 1), value=self.values.numel()),
        )
        s0, s1, s2 = self._moments[:, ends[1]] - self._moments[:, ends[0]]
        error: Tensor = (s2 - 2 * q * s1 + q**2 * s0).sum(1).clamp_min(0)
        return error

    def quantile(self, share: float) -> float:
        """The least value with at least `share` (0 to 1) of the elements at or below it."""
        cumulative = self._moments[0, 1:]
        index = torch.searchsorted(cumulative, share * cumulative[-1])
        value = float(self.values[min(int(index), self.values.numel() - 1)])
        return min(max(value, self.minimum), self.maximum)


def channel_range(v: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Minimum and maximum of every channel, each (C,)."""
    last_first = v.detach().movedim(axis, -1)
    channels = last_first.shape[-1]
    rows = last_first.reshape(-1, channels)
    # The CPU reduces along a long axis slowly, and takes the lesser of two wide rows quickly: fold first.
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
    flat = v.detach().reshape(-1)
    # The last number below `bins`, so that v = high falls into the last bin in float32 as well.
    # A constant tensor has no width; all of it falls into the first bin.
    scale = bins * (1 - 2**-20) / (high - low).clamp_min(torch.finfo(v.dtype).tiny * 2**24)
    counts = torch.zeros(bins, dtype=torch.int64, device=v.device)
    for block in flat.split(_BLOCK):
        index = torch.empty(block.shape, dtype=torch.int32, device=v.device)
        for x, i in zip(block.split(_PIECE), index.split(_PIECE), strict=True):
            i.copy_((x - low).mul_(scale).clamp_(0, bins - 1))
        counts += torch.bincount(index, minlength=bins)
    return counts
