"""The bounds as percentiles of the distribution of their site, in network order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from .canvas import colour, head, marker, panels, styled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure
    from torch import Tensor

    from ..quantization.distribution import Distribution
    from ..quantization.quantizer import Bounds, Site


def draw(
    sites: Sequence[Site],
    distributions: Mapping[str, Distribution],
    bounds: Mapping[str, Mapping[str, Bounds]],
    title: str,
) -> Figure:
    """Percentiles of upper (above) and lower bounds (below), weights left and activations right.

    `bounds` are by method, then by site. For bounds per channel the mean percentile is shown.
    """
    shares = {
        method: [percentiles(distributions[site.name], of[site.name]) for site in sites]
        for method, of in bounds.items()
    }
    return draw_percentiles([site.role for site in sites], shares, title)


@styled
def draw_percentiles(roles: Sequence[str], shares: Mapping[str, Sequence[Mapping[str, float]]], title: str) -> Figure:
    """The figure of `draw` from the percentiles of every method, in the order of `roles`, those of the sites."""
    figure, axes = panels(4, 2, 4.0, 2.3)
    for panel, (end, role) in zip(
        axes, [(e, r) for e in ("upper", "lower") for r in ("weight", "activation")], strict=True
    ):
        for index, (method, of) in enumerate(shares.items()):
            values = [share[end] for share, own in zip(of, roles, strict=True) if own == role]
            panel.plot(
                np.arange(1, len(values) + 1), values, marker(index), color=colour(index),
                markersize=2.6, alpha=0.75, markeredgewidth=0, label=method,
            )  # fmt: skip
        panel.set_ylim(-4, 104)
        panel.set(title=f"{end} bounds of {role}s", xlabel=f"{role}s in network order", ylabel="percentile (%)")
    head(figure, title, axes[0])
    return figure


def percentiles(distribution: Distribution, bounds: Bounds) -> dict[str, float]:
    """The percentages of elements below the lower bound, and not above the upper bound.

    A lower bound at or below all elements gives 0, an upper bound at or above all of them 100.
    """
    lower, upper = (end.double() for end in bounds.tensors())
    return {
        "lower": float(_below(distribution, lower, right=False).mean()),
        "upper": float(_below(distribution, upper, right=True).mean()),
    }


def _below(distribution: Distribution, ends: Tensor, *, right: bool) -> Tensor:
    """The percentage of elements below each end; with `right` also those at it."""
    shares = torch.nn.functional.pad(distribution.counts.cumsum(0), (1, 0)) * (100 / distribution.count)
    inside = torch.searchsorted(distribution.values, ends.contiguous(), right=right)
    # Bin centres lie within the range: the ends of the range itself are known exactly.
    inside = torch.where(ends >= distribution.maximum, len(shares) - 1, inside) if right else inside
    return shares[inside]
