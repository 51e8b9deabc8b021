"""The calibration pass: the distribution of every site on the full-precision network."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

import torch

from ..errors import SrqError
from .capture import capture
from .distribution import BINS, Distribution, add_to_histogram, channel_range
from .student import quantizers_off

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor

    from .student import Student

_HALF = (torch.float16, torch.bfloat16)
"""Too coarse for 2^16 bins; a network may compute in these types inside."""
_ROOM = 2**16  # numbers; a network has some tens of thousands of channels


def observe(student: Student, batches: Callable[[], Iterable[Tensor]]) -> dict[str, Distribution]:
    """Distributions of all sites, with all quantizers off: first the exact ranges, then histograms over them.

    `batches` is called twice and yields LR batches (N, 3, H, W) in [0, 1]; memory does not grow with their number.
    Sites that always read the same tensors (the inputs of q, k and v) share one histogram.
    """
    distributions = {
        name: Distribution.of_tensor(weight, student.quantizers[name].site.channel_axis)
        for name, weight in student.weights.items()
    }
    ranges = _Ranges(student)
    _run(student, batches(), ranges.update)
    counts = _Counts(ranges)
    _run(student, batches(), counts.update)
    for name in student.quantizers:
        if name not in distributions and name not in counts.twin:
            distributions[name] = counts.distribution(name)
    return {name: distributions[counts.twin.get(name, name)] for name in student.quantizers}


def _run(student: Student, batches: Iterable[Tensor], update: Callable[[str, Tensor], None]) -> None:
    # Inference mode would hide the versions of tensors.
    activations = [name for name, quantizer in student.quantizers.items() if quantizer.site.role == "activation"]

    def see(name: str, v: Tensor, _: Tensor) -> None:
        if v.numel():
            update(name, v.float() if v.dtype in _HALF else v)

    watching = capture(student, activations, see)
    with quantizers_off(student), torch.no_grad(), watching:
        for batch in batches:
            student(batch.to(student.device))


class _Ranges:
    """Minimum and maximum of every activation, per tensor and per channel, over all batches.

    They are in a few blocks that are allocated first. Hundreds of small tensors, allocated one by one between
    activations, cut freed memory into pieces too small for an activation: the process grew to several times its need.
    """

    def __init__(self, student: Student) -> None:
        self.axes = {name: quantizer.site.channel_axis for name, quantizer in student.quantizers.items()}
        self.of: dict[str, tuple[Tensor, Tensor]] = {}
        self.read: dict[str, list[int]] = {}
        """The numbers of the tensors that a site has read; a tensor that was written to gets a new number."""
        self._number = 0
        self._last: tuple[Callable[[], Tensor | None], int | None] = (lambda: None, None)  # keeps no tensor alive
        self._room = torch.empty(2, 0)

    def update(self, name: str, v: Tensor) -> None:
        self.read.setdefault(name, []).append(self._number_of(v))
        axis = self.axes[name]
        low, high = v.aminmax() if axis is None else channel_range(v, axis)
        if name not in self.of:
            self.of[name] = self._claim(low)
        kept_low, kept_high = self.of[name]
        torch.minimum(kept_low, low, out=kept_low)
        torch.maximum(kept_high, high, out=kept_high)

    def twins(self) -> dict[str, str]:
        """Per site, the first site that always read the same tensors, with the same ranges."""
        first: dict[tuple[int, ...], str] = {}
        twins = {}
        for name, read in self.read.items():
            other = first.setdefault(tuple(read), name)
            if other != name and self.axes[other] == self.axes[name] and self._same_range(name, other):
                twins[name] = other
        return twins

    def _same_range(self, name: str, other: str) -> bool:
        """Writes that do not change a tensor's version, such as to its `data`, are noticed here."""
        pairs = zip(self.of[name], self.of[other], strict=True)
        return all(torch.equal(mine, theirs) for mine, theirs in pairs)

    def _number_of(self, v: Tensor) -> int:
        last, version = self._last
        now = None if v.is_inference() else v._version
        if last() is not v or now is None or now != version:
            self._number += 1
        self._last = (weakref.ref(v), now)
        return self._number

    def _claim(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Room for a minimum and a maximum of one shape, () or (C,); any value replaces the first entries."""
        size = like.numel()
        if self._room.shape[1] < size or self._room.dtype != like.dtype:
            self._room = torch.empty(2, max(size, _ROOM), dtype=like.dtype, device=like.device)
        taken, self._room = self._room.split([size, self._room.shape[1] - size], dim=1)
        low, high = taken[0].fill_(torch.inf).view(like.shape), taken[1].fill_(-torch.inf).view(like.shape)
        return low, high


class _Counts:
    """Histograms of every activation over its exact range, in one block of memory that is allocated before the pass."""

    def __init__(self, ranges: _Ranges) -> None:
        self.ranges = ranges
        self.ends = {name: (low.min(), high.max()) for name, (low, high) in ranges.of.items()}
        for name, (low, high) in self.ends.items():
            if not (torch.isfinite(low) and torch.isfinite(high)):
                raise SrqError(f"site {name} has values that are not finite on the calibration images")
        self.twin = ranges.twins()
        self.row = {name: row for row, name in enumerate(name for name in self.ends if name not in self.twin)}
        self.seen = dict.fromkeys(self.row, 0)
        device = next((low.device for low, _ in self.ends.values()), None)
        self.counts = torch.zeros(len(self.row), BINS, dtype=torch.int32, device=device)

    def update(self, name: str, v: Tensor) -> None:
        if name in self.twin:
            return
        self.seen[name] += v.numel()
        if self.seen[name] > torch.iinfo(self.counts.dtype).max:
            self.counts = self.counts.long()  # one bin may hold them all
        add_to_histogram(self.counts[self.row[name]], v, *self.ends[name])

    def distribution(self, name: str) -> Distribution:
        if name not in self.row:
            raise SrqError(f"site {name} was never reached on the calibration images")
        low, high = self.ends[name]
        channels = [end.cpu() for end in self.ranges.of[name]] if self.ranges.axes[name] is not None else []
        return Distribution(float(low), float(high), self.counts[self.row[name]].cpu(), None, *channels)
