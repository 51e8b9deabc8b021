"""MinMax (Jacob et al., CVPR 2018): the bounds are the smallest and the largest value."""

from __future__ import annotations

from sr_ptq_bench import Bounds, Distribution, hookimpl


@hookimpl
def srq_init_bounds(distribution: Distribution) -> Bounds:
    """l = min(v), u = max(v)."""
    return Bounds(distribution.minimum, distribution.maximum)
