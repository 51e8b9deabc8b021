"""The figures of a table as SVG for a page, each with the numbers behind it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import printable
from ..plots import loss, psnr, tradeoff
from ..plots.canvas import colour
from ..tables import cells
from .entries import calibration_seconds, weight_bytes
from .svg import svg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from xml.etree.ElementTree import Element

    from ..records.record import Record
    from ..tables.rows import Row
    from .entries import Table

MOST = 8
"""Lines of a figure: as many as there are colours."""
PLACES = 40
"""Places of a line of a loss, and lines of the file beside its figure: more would not be seen."""
STEPS = 10
"""Lines of the table below the figure of a loss."""
Series = dict[str, list[tuple["Row", "Sequence[Record]"]]]


@dataclass(frozen=True)
class Figure:
    """A figure: its heading, a sentence below it, an element of SVG, and its numbers.

    `head` is empty if the figure before has the same numbers.
    """

    anchor: str
    heading: str
    caption: str
    svg: Element
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


def figures(table: Table) -> Iterator[Figure]:
    """PSNR over bits, bytes and time, and the loss over the steps of each bit-width."""
    every = _series(table)
    if not every:
        return
    shown = dict(sorted(list(every.items())[:MOST], key=lambda item: (-_average(item[1]), item[0])))
    colours = {name: colour(index) for index, name in enumerate(shown)}
    references, title = table.records[0].references, _title(table)
    numbers = _numbers(shown)
    most = f" Shown are {len(shown)} of {len(every)} methods: those at most bit-widths, then the best."
    left_out = most if len(every) > len(shown) else ""
    rows = [row for of in shown.values() for row, _ in of]
    drawn = psnr.draw(rows, references, title)
    caption = "In the legend the best stands on top; bars are one standard deviation over seeds." + left_out
    yield Figure("psnr-bits", "PSNR over bits", caption, svg(drawn, "PSNR over bits", "a"), *numbers)
    costs: list[tuple[str, str, str, Callable[[Record], float], str]] = [
        ("psnr-bytes", "PSNR over bytes", "parameters (MB)", lambda record: weight_bytes(record) / 1e6,
         "All parameters at their bits, without bounds. A line joins the bit-widths of a method."),
        ("psnr-time", "PSNR over calibration time", "bounds and calibration (s)", calibration_seconds,
         "Seconds on the machine of each record, which may differ; loading and scoring are left out."),
    ]  # fmt: skip
    for prefix, (anchor, heading, axis, cost, said) in zip("bc", costs, strict=True):
        points = {name: [(_mean(cost, records), row) for row, records in of] for name, of in shown.items()}
        drawn = tradeoff.draw(points, references, title, axis)
        yield Figure(anchor, heading, said + left_out, svg(drawn, heading, prefix))
    for bits, losses in _losses(shown).items():
        heading = f"Loss over steps, {bits}"
        caption = (
            f"The strong line is the mean of {loss.WINDOW} steps, the faint line spans the lowest and the highest of "
            f"neighbouring steps; fewer than {loss.MANY * loss.WINDOW} steps have one line, of every step. Of several "
            "seeds the first is shown."
        )
        drawn = loss.draw(losses, title, loss.Small(PLACES, colours))
        yield Figure(f"loss-{bits}", heading, caption, svg(drawn, heading, f"{bits}-"), *_steps(losses))


def loss_csv(table: Table) -> str:
    """The losses of the figures, a column per run, at most PLACES lines; empty if there are none."""
    found = _losses(dict(list(_series(table).items())[:MOST]))
    columns = {f"{name} {bits}": values for bits, losses in found.items() for name, values in losses.items()}
    lines = _means(list(columns.values()), PLACES)
    return "\n".join([*map(",".join, [["step", *map(_csv, columns)], *lines]), ""]) if lines else ""


def _means(runs: Sequence[Sequence[float]], most: int) -> list[list[str]]:
    """At most so many lines, each a step and every run's mean of the steps since the line before."""
    longest = max(map(len, runs), default=0)
    width = math.ceil(longest / most)
    return [
        [str(min(start + width, longest)), *(_mean_text(run[start : start + width]) for run in runs)]
        for start in range(0, longest, max(1, width))
    ]


def _mean_text(values: Sequence[float]) -> str:
    return f"{sum(values) / len(values):.4g}" if values else ""


def _csv(text: str) -> str:
    """A name as a cell that no spreadsheet takes for a formula."""
    safe = printable(text)
    return '"{}{}"'.format("'" * safe.lstrip().startswith(tuple("-=+@")), safe.replace('"', '""'))


def _title(table: Table) -> str:
    spec = table.records[0].spec
    return f"{spec.model} x{spec.scale}, suite {spec.suite}"


def _series(table: Table) -> Series:
    """Rows by what their line is called: those at most bit-widths first, then the best on average.

    Rows whose levels are not bounded come last, so that they take no place from results of these bits.
    """
    several = len({row.scope for row in table.rows}) > 1
    found: Series = {}
    for row, records in zip(table.rows, table.of_row, strict=True):
        if not math.isnan(_psnr(row)):
            found.setdefault(f"{row.label}, {row.scope}" if several else row.label, []).append((row, records))

    def rank(name: str) -> tuple[bool, int, float, str]:
        of = found[name]
        return not all(row.is_bounded for row, _ in of), -len({row.bits for row, _ in of}), -_average(of), name

    return {name: found[name] for name in sorted(found, key=rank)}


def _average(of: Sequence[tuple[Row, Sequence[Record]]]) -> float:
    return sum(_psnr(row) for row, _ in of) / len(of)


def _psnr(row: Row) -> float:
    value = next(iter(row.scores.values()))["psnr"].mean
    return value if math.isfinite(value) else math.nan


def _mean(cost: Callable[[Record], float], records: Sequence[Record]) -> float:
    return sum(map(cost, records)) / len(records)


def _losses(shown: Series) -> dict[str, dict[str, Sequence[float]]]:
    """Losses by bits, from many to few, then by line."""
    found: dict[str, dict[str, Sequence[float]]] = {}
    rows = [(name, row, records[0]) for name, of in shown.items() for row, records in of]
    for name, row, record in sorted(rows, key=lambda each: (-each[1].bits.weight, -each[1].bits.activation)):
        losses = record.figures.get("losses")
        if isinstance(losses, tuple) and losses:
            found.setdefault(str(row.bits), {})[name] = losses
    return found


def _numbers(shown: Series) -> tuple[list[str], list[list[str]]]:
    datasets = list(next(iter(shown.values()))[0][0].scores)
    head = [
        "Method",
        "W/A bits",
        "Parameters (MB)",
        "Bounds and calibration (s)",
        *(f"{d} PSNR (dB)" for d in datasets),
    ]
    rows = [
        [
            name, cells.bits(row), f"{_mean(weight_bytes, records) / 1e6:.3f}",
            f"{_mean(calibration_seconds, records):.2f}",
            *(cells.number(row.scores[dataset]["psnr"].mean, "psnr") for dataset in datasets),
        ]
        for name, of in shown.items()
        for row, records in of
    ]  # fmt: skip
    return head, rows


def _steps(losses: Mapping[str, Sequence[float]]) -> tuple[list[str], list[list[str]]]:
    return ["Step", *losses], _means(list(losses.values()), STEPS)
