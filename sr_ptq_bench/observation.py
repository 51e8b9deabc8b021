"""The calibration pass: the distribution of every site on the full-precision network."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from .distribution import BINS, Distribution, channel_range, histogram
from .errors import SrqError
from .model import quantizers_off

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import Tensor, nn

    from .model import Student


def observe(student: Student, batches: Callable[[], Iterable[Tensor]]) -> dict[str, Distribution]:
    """Distributions of all sites, with all quantizers off: first the exact ranges, then histograms over them.

    `batches` is called twice and yields LR batches (N, 3, H, W) in [0, 1]; memory does not grow with their number.
    A tensor that feeds several sites (the input of q, k and v) is read once.
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
        if name not in distributions and name not in ranges.twin:
            distributions[name] = counts.distribution(name)
    return {name: distributions[ranges.twin.get(name, name)] for name in student.quantizers}


def _run(student: Student, batches: Iterable[Tensor], update: Callable[[str, Tensor], None]) -> None:
    with quantizers_off(student), torch.inference_mode(), _watching(student, update):
        for batch in batches:
            student(batch.to(student.device))


@contextmanager
def _watching(student: Student, update: Callable[[str, Tensor], None]) -> Iterator[None]:
    """Call `update(site name, tensor)` for every activation that reaches a quantizer."""

    def hook(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda _module, inputs: update(name, inputs[0])

    activations = {name: q for name, q in student.quantizers.items() if q.site.role == "activation"}
    handles = [quantizer.register_forward_pre_hook(hook(name)) for name, quantizer in activations.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Ranges:
    """Minimum and maximum of every activation, per tensor and per channel, over all batches."""

    def __init__(self, student: Student) -> None:
        self.axes = {name: quantizer.site.channel_axis for name, quantizer in student.quantizers.items()}
        self.of: dict[str, tuple[Tensor, Tensor]] = {}
        self.twin: dict[str, str] = {}
        self._last: tuple[Tensor, str] | None = None

    def update(self, name: str, v: Tensor) -> None:
        if self._last is not None and self._last[0] is v and self.axes[self._last[1]] == self.axes[name]:
            if name != self._last[1]:
                self.twin[name] = self._last[1]
            return
        self._last = (v, name)
        axis = self.axes[name]
        low, high = v.aminmax() if axis is None else channel_range(v, axis)
        if name in self.of:
            low, high = torch.minimum(low, self.of[name][0]), torch.maximum(high, self.of[name][1])
        self.of[name] = (low, high)


class _Counts:
    """Histograms of every activation over its exact range."""

    def __init__(self, ranges: _Ranges) -> None:
        self.ranges = ranges
        self.ends = {name: (low.min(), high.max()) for name, (low, high) in ranges.of.items()}
        for name, (low, high) in self.ends.items():
            if not (torch.isfinite(low) and torch.isfinite(high)):
                raise SrqError(f"site {name} has values that are not finite on the calibration images")
        self.counts: dict[str, Tensor] = {}

    def update(self, name: str, v: Tensor) -> None:
        if name in self.ranges.twin:
            return
        counts = histogram(v, *self.ends[name], bins=BINS)
        if name in self.counts:
            self.counts[name] += counts
        else:
            self.counts[name] = counts

    def distribution(self, name: str) -> Distribution:
        if name not in self.counts:
            raise SrqError(f"site {name} was never reached on the calibration images")
        low, high = self.ends[name]
        channels = self.ranges.of[name] if self.ranges.axes[name] is not None else (None, None)
        return Distribution.of_histogram(float(low), float(high), self.counts[name], *channels)
