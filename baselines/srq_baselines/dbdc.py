"""DBDC, density-based dual clipping (Tu et al., CVPR 2023): the thin ends of a histogram are cut off.

An activation is clipped on a histogram h of 2048 bins of width w over its N elements:

    while  h[first] + ... + h[last] > (1 - p) N:
        h[first] < h[last]:  first = first + 1        else  last = last - 1
    l = min + first w,   u = min + (last + 1) w

p is 1e-5, 1e-4 and 5e-4 at 8, 6 and 4 bits, and at other bit-widths that of the next higher; in the released code 1e-5
at 8 bits and 1e-4 below. One histogram covers all patches; the paper averages the bounds of batches, so outliers count
less there. A weight keeps its range: per output channel in a convolution, per tensor in a Linear layer. With scope
`all` the first and the last layer have 8 bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch
from pydantic import Field

from sr_ptq_bench import Bounds, Distribution, PluginOptions, Quantizer, Site, hookimpl

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BINS = 2048
EDGE_BITS = 8
# The p of each preset by bit-width. The paper's values are in its configuration; its released code does not read them.
CLIPPED = {
    "paper": {8: 1e-5, 6: 1e-4, 4: 5e-4},
    "official": {8: 1e-5, 7: 1e-4},
}


class Options(PluginOptions):
    """What is clipped; `paper` follows the text and its configuration, `official` the released code."""

    preset: Literal["paper", "official"] = "paper"
    p: float | None = Field(None, ge=0, lt=1, description="least share of an activation to clip; None: by bit-width")
    lower_edge_offset: int = Field(0, ge=0, le=1, description="bins by which the lower bound lies too high")
    weight_granularity: Literal["mixed", "channel", "tensor"] = Field(
        "mixed", description="weight bounds per output channel, per tensor, or mixed: per channel of convolutions only"
    )
    edge_layers_8bit: bool = Field(True, description="8 bits for a network's first and last layer")

    @classmethod
    def presets(cls) -> Mapping[str, Mapping[str, Any]]:
        """The published text and the released code; `p` by bit-width differs too."""
        return {"paper": {"lower_edge_offset": 0}, "official": {"lower_edge_offset": 1}}


@hookimpl
def srq_make_quantizer(site: Site, options: Options) -> Quantizer | None:
    """8 bits for the first and the last layer; the default elsewhere."""
    return Quantizer(site, EDGE_BITS) if site.edge and options.edge_layers_8bit else None


@hookimpl
def srq_init_bounds(site: Site, distribution: Distribution, bits: int, options: Options) -> Bounds:
    """Dual clipping of an activation; minimum and maximum of a weight."""
    if site.role == "activation":
        return dual_clipping(distribution, clipped_share(bits, options), options.lower_edge_offset)
    lower, upper = distribution.channel_minimum, distribution.channel_maximum
    if per_channel(site, options) and lower is not None and upper is not None:
        return Bounds(lower, upper)
    return Bounds(distribution.minimum, distribution.maximum)


def per_channel(site: Site, options: Options) -> bool:
    """Whether a weight has one pair of bounds per output channel."""
    return options.weight_granularity == "channel" or (options.weight_granularity == "mixed" and site.layer == "conv")


def clipped_share(bits: int, options: Options) -> float:
    """`p` as given; else the preset's value at the nearest bit-width that is not smaller."""
    if options.p is not None:
        return options.p
    named = CLIPPED[options.preset]
    return named[min(width for width in named if width >= bits)]


def dual_clipping(distribution: Distribution, p: float, lower_edge_offset: int = 0) -> Bounds:
    """The range that is left after 2048 bins between minimum and maximum are clipped."""
    edges = torch.linspace(distribution.minimum, distribution.maximum, BINS + 1, dtype=torch.float64)
    bins = torch.searchsorted(edges[1:-1].contiguous(), distribution.values, right=True)
    counts = torch.bincount(bins, distribution.counts, BINS)
    first, last = dense_bins(counts.tolist(), p)
    return Bounds(edges[first + lower_edge_offset], edges[last + 1])


def dense_bins(counts: Sequence[float], p: float) -> tuple[int, int]:
    """First and last bin kept: while more than (1 - p)N elements are inside, drop the emptier end (if equal, upper).

    The last bin that is left always stays.
    """
    first, last = 0, len(counts) - 1
    inside = sum(counts)
    enough = (1 - p) * inside
    while inside > enough and first < last:
        if counts[first] < counts[last]:
            inside -= counts[first]
            first += 1
        else:
            inside -= counts[last]
            last -= 1
    return first, last
