"""MSE, or OMSE (Choukroun et al., ICCV Workshops 2019): the clipping with the least squared error, found on a grid.

Candidates i = 1..100 draw both ends towards zero together: l = i/100 min(v), u = i/100 max(v). Among equals the widest
wins. The paper quantizes symmetrically, with one number to search; two ends drawn together are its search where the
levels are asymmetric. The paper's further steps (bias correction, a second tensor for the residual) are left out.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field

from sr_ptq_bench import Bounds, Distribution, PluginOptions, Site, hookimpl


class Options(PluginOptions):
    """The grid, and how weights are cut up."""

    points: int = Field(100, ge=1, description="candidates of the grid")
    weights: Literal["tensor", "channel"] = Field("tensor", description="bounds of a weight: one pair, or by channel")


@hookimpl
def srq_init_bounds(site: Site, distribution: Distribution, bits: int, options: Options) -> Bounds:
    """The best bounds of the tensor, or of each output channel of a weight of up to 2^16 elements."""
    channels = distribution.channels() if options.weights == "channel" and site.role == "weight" else []
    if not channels:
        return Bounds(*least_error(distribution, bits, options.points))
    pairs = torch.tensor([least_error(channel, bits, options.points) for channel in channels])
    return Bounds(pairs[:, 0], pairs[:, 1])


def least_error(distribution: Distribution, bits: int, points: int) -> tuple[float, float]:
    """The candidate with the least ||v - v_q||^2."""
    shares = torch.arange(points, 0, -1, dtype=torch.float64) / points
    lower, upper = shares * distribution.minimum, shares * distribution.maximum
    best = int(distribution.squared_error(lower, upper, bits).argmin())
    return float(lower[best]), float(upper[best])
