"""Percentile (Li et al., CVPR 2019): a small share of the values is clipped on either side."""

from __future__ import annotations

from pydantic import Field

from sr_ptq_bench import Bounds, Distribution, PluginOptions, hookimpl


class Options(PluginOptions):
    """The share that is clipped; Li et al. give no number for super-resolution."""

    p: float = Field(1e-3, ge=0, lt=0.5, description="share of the values clipped on each side")


@hookimpl
def srq_init_bounds(distribution: Distribution, options: Options) -> Bounds:
    """L and u are the p and 1 - p quantiles of the values."""
    return Bounds(distribution.quantile(options.p), distribution.quantile(1 - options.p))
