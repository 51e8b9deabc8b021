"""The figures of a table as SVG for a page, each with the numbers behind it."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING

from ..plots import loss, psnr, tradeoff
from ..plots.canvas import colour
from ..tables import cells
from ..tables.formats import NONE, harmless
from ..tables.labels import REFERENCES
from .entries import calibration_seconds, weight_bytes
from .svg import svg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from xml.etree.ElementTree import Element

    from ..records.record import Record
    from ..records.scores import References
    from ..tables.rows import Row, Score
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
    shown = dict(list(every.items())[:MOST])
    colours = {name: colour(index) for index, name in enumerate(shown)}
    drawn = {name: of for name, of in shown.items() if math.isfinite(_average(of))}
    if drawn:
        yield from _of_psnr(table, drawn, _left_out(every, shown))
    for bits, losses in _losses(shown).items():
        heading = f"Loss over steps, {bits}"
        caption = (
            f"The strong line is the mean of {loss.WINDOW} steps, the faint line spans the lowest and the highest of "
            f"neighbouring steps; fewer than {loss.MANY * loss.WINDOW} steps have one line, of every step. Of several "
            "seeds the first is shown."
        )
        figure = loss.draw(losses, _title(table), loss.Small(PLACES, colours))
        yield Figure(f"loss-{bits}", heading, caption, svg(figure, heading, f"{bits}-"), *_steps(losses))


def _of_psnr(table: Table, shown: Series, left_out: str) -> Iterator[Figure]:
    references, title = table.records[0].references, _title(table)
    figure = psnr.draw([row for of in shown.values() for row, _ in of], references, title)
    caption = "In the legend the best stands on top; bars are one standard deviation over seeds." + left_out
    heading = "PSNR over bits"
    yield Figure("psnr-bits", heading, caption, svg(figure, heading, "a"), *_numbers(shown, references))
    costs: list[tuple[str, str, str, Callable[[Record], float], str]] = [
        ("psnr-bytes", "PSNR over bytes", "parameters (MB)", lambda record: weight_bytes(record) / 1e6,
         "All parameters at their bits, without bounds. A line joins the bit-widths of a method."),
        ("psnr-time", "PSNR over calibration time", "bounds and calibration (s)", calibration_seconds,
         "Seconds on the machine of each record, which may differ; loading and scoring are left out."),
    ]  # fmt: skip
    for prefix, (anchor, heading, axis, cost, said) in zip("bc", costs, strict=True):
        points = {name: [(_mean(cost, records), row) for row, records in of] for name, of in shown.items()}
        figure = tradeoff.draw(points, references, title, axis)
        yield Figure(anchor, heading, said + left_out, svg(figure, heading, prefix))


def _left_out(every: Series, shown: Series) -> str:
    """A sentence for each reason why something has no place in the figures of PSNR."""
    said = []
    if len(every) > len(shown):
        said.append(f" Shown are {len(shown)} of {len(every)} methods: those at most bit-widths, then the best.")
    odd = [
        name
        for name, of in shown.items()
        if any(math.isnan(row.finite_psnr(dataset)) for row, _ in of for dataset in row.scores)
    ]
    if odd:
        said.append(f" Not drawn where PSNR is infinite or missing: {', '.join(odd)}.")
    return "".join(said)


def loss_csv(table: Table) -> str:
    """The losses of the figures, a column per run, at most PLACES lines; empty if there are none."""
    found = _losses(dict(list(_series(table).items())[:MOST]))
    columns = {f"{name} {bits}": values for bits, losses in found.items() for name, values in losses.items()}
    lines = _means(list(columns.values()), PLACES)
    text = StringIO()
    if lines:
        csv.writer(text, lineterminator="\n").writerows([["step", *map(harmless, columns)], *lines])
    return text.getvalue()


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


def _title(table: Table) -> str:
    spec = table.records[0].spec
    return f"{spec.model} x{spec.scale}, suite {spec.suite}"


def _series(table: Table) -> Series:
    """Rows by what their line is called, the best on average first.

    Of more than MOST the first are those at most bit-widths. Rows whose levels are not bounded come last, so that they
    take no place from results of these bits.
    """
    several = len({row.scope for row in table.rows}) > 1
    found: Series = {}
    for row, records in zip(table.rows, table.of_row, strict=True):
        found.setdefault(f"{row.label}, {row.scope}" if several else row.label, []).append((row, records))

    def rank(name: str) -> tuple[bool, int, float, str]:
        of = found[name]
        return not all(row.is_bounded for row, _ in of), -len({row.bits for row, _ in of}), -_average(of), name

    ranked = sorted(found, key=rank)
    first = sorted(ranked[:MOST], key=lambda name: (-_average(found[name]), name))
    return {name: found[name] for name in (*first, *ranked[MOST:])}


def _average(of: Sequence[tuple[Row, Sequence[Record]]]) -> float:
    return psnr.average([row for row, _ in of])


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


def _numbers(shown: Series, references: References) -> tuple[list[str], list[list[str]]]:
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
            *(_with_spread(row.scores[dataset]["psnr"]) for dataset in datasets),
        ]
        for name, of in shown.items()
        for row, records in of
    ]  # fmt: skip
    lines = [
        [REFERENCES[name], *[NONE] * 3, *(cells.number(of[d].mean.get("psnr", math.nan), "psnr") for d in datasets)]
        for name, of in references
        if name in psnr.LINES
    ]
    return head, lines + rows


def _with_spread(score: Score) -> str:
    spread = "" if math.isnan(score.std) else f" ± {cells.number(score.std, 'psnr')}"
    return cells.number(score.mean, "psnr") + spread


def _steps(losses: Mapping[str, Sequence[float]]) -> tuple[list[str], list[list[str]]]:
    return ["Step", *losses], _means(list(losses.values()), STEPS)
