"""Histograms of weights and activations, with the bounds that methods choose as vertical lines."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import numpy as np

from ..errors import SrqError
from .canvas import FAINT, NEUTRAL, colour, head, panels, styled

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..quantization.distribution import Distribution
    from ..quantization.quantizer import Bounds, Site

BINS = 128
MOST = 24
"""Panels that one figure holds."""
_DASHES = ("-", "--", ":", "-.")


def select_sites(sites: Sequence[Site], patterns: Iterable[str]) -> list[Site]:
    """The sites whose names fit a pattern, in network order; without patterns the first of each kind of tensor.

    Raises SrqError if a pattern fits no site, or if there are too many sites for one figure.
    """
    patterns = tuple(patterns)
    if not patterns:
        first: dict[str, Site] = {}
        for site in sites:
            first.setdefault(site.input_kind, site)
        return list(first.values())
    for pattern in patterns:
        if not any(fnmatchcase(site.name, pattern) for site in sites):
            raise SrqError(f"no site's name fits '{pattern}'; there are {len(sites)}, the first is {sites[0].name}")
    found = [site for site in sites if any(fnmatchcase(site.name, pattern) for pattern in patterns)]
    if len(found) > MOST:
        raise SrqError(f"{len(found)} sites fit {', '.join(patterns)}; one figure holds {MOST}, so name fewer")
    return found


@styled
def draw(
    sites: Sequence[Site],
    distributions: Mapping[str, Distribution],
    bounds: Mapping[str, Mapping[str, Bounds]],
    title: str,
) -> Figure:
    """One panel per site: counts on a logarithmic scale over values; `bounds` are by method, then by site."""
    figure, axes = panels(len(sites), 4, 2.9, 2.0)
    for panel, site in zip(axes, sites, strict=True):
        edges, counts = coarse(distributions[site.name])
        panel.stairs(counts, edges, fill=True, color=FAINT)
        panel.set_yscale("log")
        panel.set_ylim(bottom=0.5)
        for index, (method, of) in enumerate(bounds.items()):
            _lines(panel, of[site.name], method, index)
        panel.set_title(f"{site.name}\n{described(site)}", fontsize=7, color=NEUTRAL)
        panel.set_xlabel("value", fontsize=8)
        panel.set_ylabel("elements", fontsize=8)
        panel.tick_params(labelsize=8)
    head(figure, title, axes[0])
    return figure


def coarse(distribution: Distribution) -> tuple[np.ndarray, np.ndarray]:
    """Edges (BINS + 1,) and counts (BINS,) of equal bins over the range of a distribution."""
    low, high = distribution.minimum, distribution.maximum
    if low == high:
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(
        distribution.values.numpy(), BINS, range=(low, high), weights=distribution.counts.numpy()
    )
    return edges, counts


def described(site: Site) -> str:
    """A description of the tensor for a reader."""
    if site.role == "weight":
        return "weight"
    return f"input, made by {site.input_kind}" if site.layer else f"operand: {site.input_kind}"


def _lines(panel: Axes, bounds: Bounds, method: str, index: int) -> None:
    """Both bounds; for bounds per channel the lowest and the highest."""
    lower, upper = bounds.tensors()
    for end, label in ((float(lower.min()), method), (float(upper.max()), "")):
        panel.axvline(end, color=colour(index), linestyle=_DASHES[index % len(_DASHES)], linewidth=1.3, label=label)
