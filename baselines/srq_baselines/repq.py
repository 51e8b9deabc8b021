"""RepQ-ViT (Li et al., ICCV 2023): quantizers too fine for hardware, rewritten as simple ones before they are used.

A LayerNorm's output has bounds per channel; with step s_c and zero point z_c = -l_c/s_c of channel c, and their means s
and z, the norm and the layers that read it are rewritten so that one pair of bounds serves all channels (eq. 9 to 13):

    (x_c + s_c (z_c - z)) s / s_c    has the bounds    l = -s z,  u = l + (2^b - 1) s

The softmax output has the levels u 2^(-k/2); the last of the 2^b codes is zero (`zero=false`: the paper's last level).
Weights have bounds per output channel, all else per tensor. Bounds are the p and 1 - p quantiles with the least error,
p of 1 - p = .999, .9999, .99999; a weight of more than 2^16 elements keeps its channels' ranges.

Here the rewriting comes before the calibration pass, from 2^16 values of each channel at most; the pass then sees what
the norm makes now, and its bounds are chosen from that. So calibrators may follow: `repq+dqc`. Zero points are real
numbers. The released code has zero beside 2^b codes, one more than b bits hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pydantic import Field

from sr_ptq_bench import (
    Batches,
    Bounds,
    Distribution,
    LogSqrt2Quantizer,
    PluginOptions,
    Quantizer,
    Site,
    Student,
    hookimpl,
)

from .norms import pairs, shiftable, watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

PERCENTILES = (0.999, 0.9999, 0.99999)
KEPT = 2**16  # values of a channel
LEAST = 1e-8
"""Of the widest channel: a narrower one is constant."""


class Options(PluginOptions):
    """What stands at the end of the logarithmic levels."""

    zero: bool = Field(True, description="the last code after softmax is zero, and not the next power")


@hookimpl
def srq_make_quantizer(site: Site, bits: int) -> Quantizer | None:
    """Log base sqrt 2 after softmax."""
    return LogSqrt2Quantizer(site, bits) if site.input_kind == "softmax" else None


@hookimpl
def srq_transform_model(student: Student, batches: Batches) -> None:
    """Give every channel of a norm the same bounds."""
    lr = next(iter(batches.fixed(1)))
    with torch.no_grad():
        found = {pair.names[0]: pair for pair in shiftable(student, lr, pairs(student, lr))}
    share = -(-KEPT // max(1, sum(1 for _ in batches.fixed())))
    kept: dict[str, list[Tensor]] = {name: [] for name in found}

    def see(name: str, x: Tensor) -> None:
        rows = x.flatten(0, -2)
        kept[name].append(rows[:: -(-len(rows) // share)].clone())

    watch(student, batches, found, see)
    for name, pair in found.items():
        bits = student.quantizers[f"{name}.input"].bits
        channels = [Distribution.of_tensor(v) for v in torch.cat(kept.pop(name)).T]
        bounds = torch.tensor([best_percentile(channel, bits) for channel in channels])
        lower, upper = bounds.T.to(pair.norm.weight.device)
        factors, shifts = rewriting(lower, upper, bits)
        pair.move(factors, shifts)


def rewriting(lower: Tensor, upper: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Factors s_c/s and shifts s_c (z_c - z) from the bounds of all channels, (C,) and (C,) -> (C,) and (C,).

    A constant channel has no step of its own. It takes the mean step, and moves to the lower end of the others.
    """
    steps = (upper - lower) / (2**bits - 1)
    varying = steps > LEAST * steps.max()
    if not varying.any():
        return torch.ones_like(steps), torch.zeros_like(steps)
    steps = torch.where(varying, steps, steps[varying].mean())
    zeros = -lower / steps
    return steps / steps.mean(), steps * (zeros - zeros[varying].mean())


@hookimpl
def srq_init_bounds(site: Site, distribution: Distribution, bits: int, options: Options) -> Bounds:
    """Percentiles with the least error."""
    if site.input_kind == "softmax":
        return log_bounds(distribution, bits, options.zero)
    channels = distribution.channels() if site.role == "weight" else []
    if channels:
        ends = torch.tensor([best_percentile(channel, bits) for channel in channels])
        return Bounds(ends[:, 0], ends[:, 1])
    lower, upper = distribution.channel_minimum, distribution.channel_maximum
    if site.role == "weight" and lower is not None and upper is not None:
        return Bounds(lower, upper)
    return Bounds(*best_percentile(distribution, bits))


def best_percentile(distribution: Distribution, bits: int) -> tuple[float, float]:
    """Of the percentiles the one with the least squared error; the narrowest of equals."""
    ends = [(distribution.quantile(1 - p), distribution.quantile(p)) for p in PERCENTILES]
    lower, upper = torch.tensor(ends, dtype=torch.float64).T
    return ends[int(distribution.squared_error(lower, upper, bits).argmin())]


def log_bounds(distribution: Distribution, bits: int, zero: bool) -> Bounds:
    """U is the percentile with the least error of the logarithmic levels; the lower end is the last level."""
    return min((_log_ends(distribution.quantile(p), bits, zero) for p in PERCENTILES), key=_error(distribution, bits))


def _log_ends(upper: float, bits: int, zero: bool) -> Bounds:
    return Bounds(0.0 if zero else upper * 2 ** (-(2**bits - 1) / 2), upper)


def _error(distribution: Distribution, bits: int) -> Callable[[Bounds], float]:
    def error(bounds: Bounds) -> float:
        quantizer = LogSqrt2Quantizer(Site("softmax", "activation", "softmax"), bits)
        quantizer.set_bounds(bounds)
        v = distribution.values.float()
        return float(((quantizer(v) - v).double().square() * distribution.counts).sum())

    return error
