"""Distributions of tensors that only a method makes, and the bounds that DOBI gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sr_ptq_bench import Distribution, capture, quantizers_off

from .layers import run

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from torch import Tensor

    from sr_ptq_bench import Batches, Student

BINS = 2**14
CANDIDATES = 100


def distributions(
    student: Student, batches: Batches, names: Collection[str], tensor: Callable[[str, Tensor], Tensor]
) -> dict[str, Distribution]:
    """The distributions of `tensor(site, v)` at sites of the FP network: one pass for ranges, one for histograms."""
    ranges: dict[str, tuple[float, float]] = {}
    counts: dict[str, Tensor] = {}

    def see_range(name: str, v: Tensor, _: Tensor) -> None:
        low, high = (float(end) for end in tensor(name, v).aminmax())
        before = ranges.get(name, (low, high))
        ranges[name] = min(low, before[0]), max(high, before[1])

    def see_values(name: str, v: Tensor, _: Tensor) -> None:
        low, high = ranges[name]
        found = torch.histc(tensor(name, v).float(), BINS, low, high).to("cpu", torch.int64)
        counts[name] = counts[name] + found if name in counts else found

    for see in (see_range, see_values):
        with torch.no_grad(), quantizers_off(student), capture(student, names, see):
            run(student, batches)
    return {name: Distribution(*ranges[name], histogram) for name, histogram in counts.items()}


def dobi_bounds(distribution: Distribution, bits: int) -> tuple[float, float]:
    """Of 100 ranges, each narrower on both sides by 1/200, the widest of those with the least squared error."""
    share = torch.arange(CANDIDATES, dtype=torch.float64) / (2 * CANDIDATES)
    width = distribution.maximum - distribution.minimum
    lower, upper = distribution.minimum + share * width, distribution.maximum - share * width
    best = int(distribution.squared_error(lower, upper, bits).argmin())
    return float(lower[best]), float(upper[best])
