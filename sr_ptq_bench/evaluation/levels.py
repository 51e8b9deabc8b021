"""Counts the distinct levels of every site while a student runs: b bits have 2^b.

Values that share bounds share levels: those of a tensor, or of a channel if the quantizer has bounds per channel, or
says that it has other numbers per channel.
Levels are counted over all passes, in bins whose width is about 2^-20 of the largest value so far, eight to sixteen
units in the last place of float32. It is a power of two, so that wider bins are mergers of narrow ones. Rounding
spreads a level over two bins at most, so two neighbours count as one level. Memory is bounded, because counting ends
where a site has `LARGEST` levels.

Activations of the kinds that a state restores without any method cannot have more: a sample of each tensor is counted.
Of all other kinds, and of all weights, every value is.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..errors import SrqError
from ..quantization.state.save_load import KINDS
from ..records.record import MostLevels

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import nn

    from ..quantization.quantizer import Quantizer
    from ..quantization.student import Student

LARGEST = 2**11 + 1
"""A larger number of levels is given as this one."""
SAMPLE = 2**12
"""Values of a tensor that are counted if its kind cannot have more levels."""
_FINEST = 20
"""Bits of the largest value in a grid; float32 has 24."""
_PIECE = 2**16  # values that stay in the processor's cache between two operations
_APART = 2**32  # between the bins of two groups
_NONE = 2**62  # no bin


class Levels:
    """The levels of the sites of a student that have been seen so far."""

    def __init__(self, quantizers: Mapping[str, Quantizer]) -> None:
        self._quantizers = quantizers
        self._grids: dict[str, Grid] = {}

    def see(self, name: str, v: Tensor, result: Tensor, sample: int | None = None) -> None:
        """Count what the quantizer of a site makes of `v`; only about `sample` of the values, if that is given."""
        quantizer = self._quantizers[name]
        where = f"site {name}: levels_of"
        with quantizer.blamed("levels_of"):
            levels: object = quantizer.levels_of(result.detach())
            if not isinstance(levels, Tensor) or not levels.is_floating_point() or not (levels.ndim and levels.numel()):
                said = f"{tuple(levels.shape)} {levels.dtype}" if isinstance(levels, Tensor) else type(levels).__name__
                raise SrqError(f"{where} returns {said}; expected real numbers in a tensor with an axis for channels")
            rows = grouped(quantizer, levels)
        step = max(1, rows.numel() // sample) | 1 if sample else 1  # odd, to meet all channels
        counted = self._grids.setdefault(name, Grid()).add(rows[:, ::step])
        if not counted and torch.isfinite(result).all():
            raise SrqError(f"{where} gives numbers that are not finite for a result that is")
        if not counted and torch.isfinite(v).all():
            raise SrqError(f"site {name}: quantize makes numbers that are not finite of numbers that are")

    def counts(self) -> dict[str, int]:
        """The number of levels by site; of a site with groups the largest."""
        return {name: grid.most() for name, grid in self._grids.items()}

    def check(self) -> None:
        """Raise SrqError for the first site with more levels than its bits allow, unless its quantizer says so."""
        for name, count in self.counts().items():
            quantizer = self._quantizers[name]
            if quantizer.levels_bounded and count > 2**quantizer.bits:
                raise SrqError(
                    f"site {name} has {count} distinct levels; {quantizer.bits} bits have {2**quantizer.bits} at most. "
                    "With levels_per_channel = True they count by channel; with levels_bounded = False a quantizer may "
                    "have more, and tables say so"
                )

    def most(self) -> MostLevels | None:
        """The site with the most levels for its bits; None if all sites have 2^bits at most."""
        found = [(count / 2 ** self._quantizers[name].bits, name, count) for name, count in self.counts().items()]
        ratio, name, count = max(found, default=(0, "", 0))
        return MostLevels(site=name, bits=self._quantizers[name].bits, levels=count) if ratio > 1 else None


class Grid:
    """Which bins hold values, for each group of a site: bin k of width w holds the values in [kw, (k + 1)w)."""

    def __init__(self) -> None:
        self._exponents = torch.empty(0)
        """The widths of the bins are 2 to these powers, one for each group."""
        self._bins = torch.empty(0, dtype=torch.int64)
        """The bins that hold values, ascending; those of group g have g * 2^32 added."""
        self._low, self._high = torch.empty(0), torch.empty(0)
        self._most: int | None = 0

    def add(self, rows: Tensor) -> bool:
        """Add values, a row (N,) for each group; False for a tensor with values that are not finite, not counted."""
        rows = rows.float()
        low, high = rows.aminmax(dim=1) if len(rows) > 1 else (end.view(1) for end in rows.aminmax())  # faster
        if not torch.isfinite(low + high).all():
            return False
        if self.most() == LARGEST:
            return True
        self._widen(low, high)
        scale = torch.exp2(-self._exponents.double()).float()[:, None]  # exact, as a product with it is
        offset = _APART * torch.arange(len(rows), device=rows.device)[:, None]
        known = self._table()
        for piece in rows.split(max(1, _PIECE // len(rows)), dim=1):
            bins = (piece * scale).floor_().long().add_(offset).flatten()
            new = bins[known.take(bins % len(known)) != bins]
            if len(new):
                self._bins, self._most = torch.cat([self._bins, new]).unique(), None
                if self.most() == LARGEST:
                    break
                known = self._table()
        return True

    def _table(self) -> Tensor:
        """Bins that hold values, each at its remainder by the table's length: to find one takes no search."""
        table = torch.full((16 * max(len(self._bins), 256) - 1,), _NONE, device=self._bins.device)
        table[self._bins % len(table)] = self._bins
        return table

    def most(self) -> int:
        """The number of levels of the group that has most."""
        if self._most is None:
            at = torch.arange(len(self._bins), device=self._bins.device)
            is_first = torch.cat([at[:1] == 0, self._bins.diff() > 1])
            in_run = at - torch.where(is_first, at, 0).cummax(0).values
            levels = self._bins[in_run % 2 == 0]
            self._most = min(int(torch.bincount(_group_of(levels)).max()), LARGEST)
        return self._most

    def _widen(self, low: Tensor, high: Tensor) -> None:
        """Make the bins so wide that 2^20 of them reach to the largest value so far."""
        if not len(self._bins):
            self._low, self._high, self._exponents = low, high, torch.full_like(low, -126)
            self._bins = self._bins.to(low.device)
        elif (low >= self._low).all() and (high <= self._high).all():
            return
        self._low, self._high = torch.minimum(self._low, low), torch.maximum(self._high, high)
        largest = torch.maximum(self._low.abs(), self._high.abs())
        wider = torch.maximum(self._exponents, (largest / 2**_FINEST).log2().ceil())
        group = _group_of(self._bins)
        merged = (self._bins - group * _APART) >> (wider - self._exponents).long()[group]
        self._bins, self._exponents, self._most = (group * _APART + merged).unique(), wider, None


def _group_of(bins: Tensor) -> Tensor:
    return torch.div(bins + _APART // 2, _APART, rounding_mode="floor")


def grouped(quantizer: Quantizer, v: Tensor) -> Tensor:
    """The values of a site, a row for each group with levels of its own: one row, or one for each channel."""
    axis = quantizer.site.channel_axis
    own = quantizer.levels_per_channel or quantizer.lower.ndim > 0
    return v.reshape(1, -1) if axis is None or not own else v.movedim(axis, 0).flatten(1)


@contextmanager
def counted_levels(student: Student) -> Iterator[Levels]:
    """Count the levels of all sites while the student runs."""
    levels = Levels(student.quantizers)

    def see(name: str, sample: int | None, _quantizer: nn.Module, given: tuple[Tensor, ...], result: Tensor) -> None:
        levels.see(name, given[0], result, sample)

    with ExitStack() as stack:  # `capture` would keep quantizers from overwriting their inputs, which takes time
        for name, quantizer in student.quantizers.items():
            if name in student.weights:
                with torch.no_grad():
                    levels.see(name, student.weights[name], quantizer(student.weights[name]))
            else:
                sample = SAMPLE if type(quantizer) in KINDS.values() else None
                stack.callback(quantizer.register_forward_hook(partial(see, name, sample)).remove)
        yield levels
