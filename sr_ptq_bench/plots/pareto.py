"""PSNR over bytes and over bit-operations, and the rows that no other row beats in both: the Pareto front."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..tables.cells import bits
from ..tables.labels import REFERENCES
from .canvas import NEUTRAL, QUIET, begin_at, colour, head, literal, marker, panels, styled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..records.scores import References
    from ..tables.rows import Row

Cost = tuple[str, "Callable[[Row], float]"]

COSTS: tuple[Cost, ...] = (
    ("parameters (MB)", lambda row: row.bytes / 1e6),
    ("bit-operations per LR pixel (millions)", lambda row: row.bit_operations / 1e6),
)


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """The places of the points (cost, PSNR) that no other point beats, by rising cost.

    A point beats another if it costs no more and scores no less, and is not equal to it.
    """

    def is_beaten(at: tuple[float, float]) -> bool:
        return any(other[0] <= at[0] and other[1] >= at[1] and other != at for other in points)

    known = [place for place, at in enumerate(points) if not math.isnan(at[1]) and not is_beaten(at)]
    return sorted(known, key=lambda place: points[place])


@styled
def draw(rows: Sequence[Row], references: References, title: str, lowest: float | None = None) -> Figure:
    """A panel for each test set and cost; PSNR in dB, a marker for each method, the front ringed and joined.

    Values below `lowest` dB are not shown. Beside a point of the front stand its bits.
    """
    names = list(dict.fromkeys(row.label for row in sorted(rows, key=lambda row: row.label)))
    datasets = list(rows[0].scores)
    figure, axes = panels(len(datasets) * len(COSTS), len(COSTS), 4.6, 3.4)
    places = iter(axes)
    for dataset in datasets:
        for cost in COSTS:
            panel = next(places)
            _panel(panel, rows, names, dataset, cost)
            psnr = references.fp[dataset].mean.get("psnr", math.nan)
            panel.axhline(psnr, color=QUIET, linewidth=1.2, label=REFERENCES["fp"], zorder=1)
            panel.set(title=literal(dataset), xlabel=cost[0], ylabel="PSNR (dB)")
            panel.locator_params(axis="x", nbins=5)
            begin_at(panel, lowest)
    head(figure, title, axes[0])
    return figure


def _panel(panel: Axes, rows: Sequence[Row], names: Sequence[str], dataset: str, cost: Cost) -> None:
    points = [(cost[1](row), row.finite_psnr(dataset)) for row in rows]
    for index, name in enumerate(names):
        of = [point for point, row in zip(points, rows, strict=True) if row.label == name]
        x, y = zip(*of, strict=True)
        panel.plot(x, y, linestyle="", color=colour(index), marker=marker(index), label=name, zorder=3)
    best = front([point if row.is_bounded else (point[0], math.nan) for point, row in zip(points, rows, strict=True)])
    panel.plot(
        *zip(*(points[place] for place in best), strict=True), color=NEUTRAL, linewidth=1, drawstyle="steps-post",
        marker="o", markersize=10, markerfacecolor="none", label="front", zorder=2,
    )  # fmt: skip
    for place in best:
        panel.annotate(
            bits(rows[place]), points[place], xytext=(7, -9), textcoords="offset points", fontsize=7, color=NEUTRAL
        )
