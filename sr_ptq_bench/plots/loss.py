"""The loss over the steps of a calibrator, a line per run."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .canvas import colour, head, panels, styled

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

WINDOW = 15
"""The strong line is the mean over this many steps; the faint line shows every step. A run of fewer than MANY such
windows has one strong line, of every step."""
MANY = 3


@dataclass(frozen=True)
class Small:
    """How a figure among others is drawn.

    A line has at most `most` places: of the faint one the lowest and the highest of neighbouring steps. A run has the
    same colour as in the other figures.
    """

    most: int
    colours: Mapping[str, str]


@styled
def draw(losses: Mapping[str, Sequence[float]], title: str, small: Small | None = None) -> Figure:
    """Losses by the name of their run; the scale is logarithmic if all are positive."""
    most = small.most if small else sys.maxsize
    figure, (axes,) = panels(1, 1, *((4.6, 3.4) if small else (6.4, 3.6)))
    for index, (name, values) in enumerate(losses.items()):
        steps = np.arange(1, len(values) + 1)
        line = small.colours[name] if small else colour(index)
        width = WINDOW if len(values) >= MANY * WINDOW else 1
        if width > 1:
            faint = _extremes(np.asarray(values), most)
            axes.plot(steps[faint], np.asarray(values)[faint], color=line, alpha=0.25, linewidth=0.7)
        mean = np.convolve(values, np.ones(width) / width, "valid")
        strong = np.linspace(0, len(mean) - 1, min(most, len(mean))).round().astype(int)
        axes.plot(steps[width - 1 :][strong], mean[strong], color=line, label=name)
    if all(value > 0 for values in losses.values() for value in values):
        axes.set_yscale("log")
    axes.set(xlabel="step", ylabel=_label(losses.values()))
    head(figure, title, axes)
    return figure


def _extremes(values: NDArray[np.float64], most: int) -> list[int]:
    """The places of all values, or of the lowest and the highest of each of `most / 2` parts of them."""
    if len(values) <= most:
        return list(range(len(values)))
    parts = np.array_split(np.arange(len(values)), most // 2)
    return sorted({int(part[of(values[part])]) for part in parts for of in (np.argmin, np.argmax)})


def _label(runs: Iterable[Sequence[float]]) -> str:
    smoothed = any(len(values) >= MANY * WINDOW for values in runs)
    return f"loss (strong: mean of {WINDOW} steps)" if smoothed else "loss"
