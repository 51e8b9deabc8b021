"""PSNR over what a method costs: a point per row, joined along the bits of one method."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .canvas import colour, head, literal, marker, panels, styled
from .psnr import draw_references

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure

    from ..records.scores import References
    from ..tables.rows import Row

Point = tuple[float, "Row"]
"""What a row costs, and the row."""
WIDE = 20
"""The ratio of costs from which their axis is logarithmic."""


@styled
def draw(series: Mapping[str, Sequence[Point]], references: References, title: str, cost: str) -> Figure:
    """One panel per test set; PSNR in dB over `cost`, logarithmic where costs are far apart.

    Series are points by what their line is called. FP and bicubic are horizontal lines.
    """
    costs = [at for points in series.values() for at, _ in points]
    is_wide = min(costs) > 0 and max(costs) > WIDE * min(costs)
    datasets = list(next(iter(series.values()))[0][1].scores)
    figure, axes = panels(len(datasets), 3, 4.6, 3.4)
    for panel, dataset in zip(axes, datasets, strict=True):
        for index, (name, points) in enumerate(series.items()):
            line = sorted(points, key=lambda point: (point[0], point[1].bits.weight, point[1].bits.activation))
            panel.plot(
                [at for at, _ in line], [row.finite_psnr(dataset) for _, row in line],
                color=colour(index), marker=marker(index), linewidth=1, label=name, zorder=3,
            )  # fmt: skip
        draw_references(panel, references, dataset)
        if is_wide:
            panel.set_xscale("log")
            panel.xaxis.set_major_formatter("{x:g}")
            panel.xaxis.set_minor_formatter("")
        panel.set(title=literal(dataset), xlabel=cost, ylabel="PSNR (dB)")
    head(figure, title, axes[0])
    return figure
