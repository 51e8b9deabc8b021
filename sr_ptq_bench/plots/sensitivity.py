"""The most sensitive groups of sites, ranked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .canvas import NEUTRAL, colour, head, panels, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..records.sensitivity import Sensitivities

MOST = 30
"""Groups that the figure shows."""


@styled
def draw(found: Sensitivities, title: str) -> Figure:
    """PSNR in dB with only one group quantized, and with all but this group; the most sensitive on top."""
    groups = found.groups[:MOST]
    figure, (only, without) = panels(2, 2, 3.9, 0.19 * len(groups) + 1.2)
    places = range(len(groups))
    for index, (axes, values, name) in enumerate(
        (
            (only, [group.only for group in groups], "only this quantized"),
            (without, [group.without for group in groups], "all but this quantized"),
        )
    ):
        axes.plot(values, places, "o", color=colour(index))
        axes.set_ylim(len(groups) - 0.5, -0.5)
        axes.set(title=name)
    only.set_yticks(places, [group.name for group in groups], fontsize=7)
    without.set_yticks(places, [""] * len(groups))
    without.axvline(found.all_quantized, color=NEUTRAL, linestyle="--", linewidth=1.2, label="all quantized")
    without.legend(fontsize=8, loc="best")
    figure.supxlabel(f"{found.unit} (dB)", fontsize=9)
    left_out = f"\nthe {MOST} most sensitive of {len(found.groups)}" if len(found.groups) > MOST else ""
    head(figure, title + left_out)
    return figure
