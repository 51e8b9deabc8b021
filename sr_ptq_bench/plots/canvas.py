"""What all figures share: look, colours, and writing to files. The only module that imports matplotlib."""

from __future__ import annotations

import math
import os
import warnings
from functools import wraps
from io import BytesIO
from textwrap import wrap
from typing import TYPE_CHECKING, Any, ParamSpec

from ..errors import SrqError, printable
from ..storage.files import write_atomically

_backend = os.environ.pop("MPLBACKEND", None)  # a notebook's backend may not exist here; figures are drawn by Agg alone
try:
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
except ImportError as missing:
    raise SrqError('figures need matplotlib; install it with `pip install "sr_ptq_bench[plot]"`') from missing
finally:
    if _backend is not None:
        os.environ["MPLBACKEND"] = _backend

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matplotlib.axes import Axes

P = ParamSpec("P")

SUFFIXES = (".png", ".pdf", ".svg")
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#C0699A", "#B47B00", "#3A97D3", "#8A62A8", "#6B7A1E")
"""Colours of series, in order: those of Okabe and Ito, which colour-blind people can tell apart, and two more.

Some are darker than theirs, so that lines stand out at least 3:1 (WCAG 1.4.11) from a white and from a dark page.
"""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""Markers of series, in order; they tell series apart without colour."""
LONG = 28
"""Characters of a legend's text that take too much of the figure's width."""
LINE = 0.2
"""Inches of a line of a legend."""
WIDEST = 10
"""Characters of a text in an inch of a figure's width; longer lines are broken, also within a word."""
SAMPLE = 0.5
"""Inches of the line and the marker before a text of a legend."""
NEUTRAL = "#4D4D4D"
QUIET = "#8F8F8F"
FAINT = "#B8B8B8"
_LOOK: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "figure.titlesize": 10,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.5,
    "lines.markersize": 5,
    "figure.dpi": 100,
    "savefig.dpi": 120,
    "pdf.fonttype": 42,  # text stays text
    "svg.fonttype": "none",
    "svg.hashsalt": "srq",  # the same figure gives the same file
}
_DATELESS = {".png": {"Software": None}, ".pdf": {"CreationDate": None}, ".svg": {"Date": None}}


def check_suffix(path: Path) -> None:
    """Raise SrqError for a file name with an unknown suffix, before any work."""
    if path.suffix.lower() not in SUFFIXES:
        raise SrqError(f"no picture can be written to {path}; expected a name that ends in {', '.join(SUFFIXES)}")


def colour(index: int) -> str:
    """The colour of a series by its place."""
    return COLOURS[index % len(COLOURS)]


def marker(index: int) -> str:
    """The marker of a series by its place; where colours begin again, markers are one further."""
    return MARKERS[(index + index // len(COLOURS)) % len(MARKERS)]


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw with the look of all figures, and leave matplotlib's settings as they were."""

    @wraps(draw)
    def inside(*arguments: P.args, **named: P.kwargs) -> Figure:
        with mpl.rc_context(_LOOK):
            return draw(*arguments, **named)

    return inside


def panels(count: int, columns: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels of `width` x `height` inches, in rows of at most `columns`."""
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    FigureCanvasAgg(figure)  # draws without a screen
    places = figure.subplots(rows, columns, squeeze=False).flatten()
    for place in places[count:]:
        place.remove()
    return figure, list(places[:count])


def picture(axes: Axes) -> None:
    """Prepare a panel for an image: no ticks, no grid, a thin frame."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set(visible=True, linewidth=0.5, color=NEUTRAL)


def begin_at(axes: Axes, lowest: float | None) -> None:
    """Cut off what lies below `lowest`, unless it is None; raises SrqError if nothing lies above it."""
    if lowest is None:
        return
    highest = axes.get_ylim()[1]
    if lowest >= highest:
        raise SrqError(f"nothing would be shown from {lowest:g} dB on; all values are below {highest:.2f} dB")
    axes.set_ylim(bottom=lowest)


def literal(text: str) -> str:
    """Text from anybody, which matplotlib would read as a formula between two `$`."""
    return printable(text).replace("$", r"\$")


def head(figure: Figure, title: str, legend: Axes | None = None) -> None:
    """Give the figure a title and the legend of one of its panels: on the right, or below if its texts are long."""
    width, height = figure.get_size_inches()
    figure.suptitle("\n".join(broken(line, width) for line in title.splitlines()))
    if legend is None:
        return
    handles, labels = legend.get_legend_handles_labels()
    labels = [printable(label) for label in labels]
    if max(map(len, labels), default=0) <= LONG:
        figure.legend(handles, list(map(literal, labels)), loc="outside right center")
        return
    labels = [broken(label, width - SAMPLE) for label in labels]
    figure.set_size_inches(width, height + LINE * sum(label.count("\n") + 1 for label in labels))
    figure.legend(handles, labels, loc="outside lower center")


def broken(text: str, width: float) -> str:
    """A literal text in lines that fit into so many inches."""
    return "\n".join(map(literal, wrap(printable(text), int(WIDEST * width))))


def save(figure: Figure, path: Path) -> None:
    """Write the figure as PNG, PDF or SVG, by the suffix; the file is there as a whole or not at all."""
    check_suffix(path)
    write_atomically(path, content(figure, path.suffix.lower()))


def content(figure: Figure, suffix: str) -> bytes:
    """The figure as the content of a file with this suffix, one of SUFFIXES."""
    file = BytesIO()
    with mpl.rc_context(_LOOK), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # of names in scripts that the font lacks
        figure.savefig(file, format=suffix[1:], metadata=_DATELESS[suffix])
    return file.getvalue()
