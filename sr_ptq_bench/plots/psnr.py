"""PSNR over bits: a line per method, FP and bicubic as horizontal lines."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..tables.labels import REFERENCES
from .canvas import NEUTRAL, QUIET, begin_at, colour, head, literal, marker, panels, styled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..protocol.bits import Bits
    from ..records.scores import References
    from ..tables.rows import Row


LINES = {"fp": (NEUTRAL, "-"), "bicubic": (QUIET, "--")}
"""The references that figures show, each with its colour and its dashes."""


@styled
def draw(rows: Sequence[Row], references: References, title: str, lowest: float | None = None) -> Figure:
    """One panel per test set; PSNR in dB, bars of one standard deviation if there are several seeds.

    `rows` are those of one table. Values below `lowest` dB are not shown.
    """
    datasets = list(rows[0].scores)
    bits = sorted({row.bits for row in rows}, key=lambda bits: (bits.weight, bits.activation))
    series = _series(rows)
    figure, axes = panels(len(datasets), 3, 4.6, 3.4)
    for panel, dataset in zip(axes, datasets, strict=True):
        _panel(panel, series, bits, dataset)
        draw_references(panel, references, dataset)
        panel.set(title=literal(dataset), xlabel="bits of weights / activations", ylabel="PSNR (dB)")
        panel.set_xlim(-0.3, len(bits) - 0.7)
        begin_at(panel, lowest)
    head(figure, title, axes[0])
    return figure


def draw_references(panel: Axes, references: References, dataset: str) -> None:
    """FP and bicubic as horizontal lines."""
    for name, (line, dashes) in LINES.items():
        psnr = getattr(references, name)[dataset].mean.get("psnr", math.nan)
        panel.axhline(psnr, color=line, linestyle=dashes, linewidth=1.2, label=REFERENCES[name], zorder=1)


def _series(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows by the name of their line; the scope is named if there are several."""
    scopes = {row.scope for row in rows}
    series: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: (row.label, row.scope)):
        series.setdefault(row.label if len(scopes) == 1 else f"{row.label}, {row.scope}", []).append(row)
    # The best on average first: the legend then reads in the order of the lines.
    return dict(sorted(series.items(), key=lambda item: -average(item[1])))


def average(rows: Sequence[Row]) -> float:
    """The mean PSNR in dB over rows, each on its first test set that has one; minus infinity if none has."""
    first = [next((v for v in map(row.finite_psnr, row.scores) if not math.isnan(v)), math.nan) for row in rows]
    known = [value for value in first if not math.isnan(value)]
    return sum(known) / len(known) if known else -math.inf


def _panel(panel: Axes, series: dict[str, list[Row]], bits: Sequence[Bits], dataset: str) -> None:
    for index, (name, rows) in enumerate(series.items()):
        line = sorted(rows, key=lambda row: bits.index(row.bits))
        scores = [row.scores[dataset]["psnr"] for row in line]
        spread = [0 if math.isnan(score.std) else score.std for score in scores]
        panel.errorbar(
            [bits.index(row.bits) for row in line],
            [row.finite_psnr(dataset) for row in line],
            spread if any(spread) else None,
            color=colour(index),
            marker=marker(index),
            capsize=2,
            label=name,
            zorder=3,
        )
    panel.set_xticks(range(len(bits)), [f"{of.weight}/{of.activation}" for of in bits])
