"""The figures of a table as SVG for a page, each with the numbers behind it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, fromstring, register_namespace, tostring

from ..errors import printable
from ..plots import loss, psnr, tradeoff
from ..plots.canvas import content
from ..tables import cells
from .entries import calibration_seconds, weight_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from matplotlib.figure import Figure as Drawn

    from ..records.record import Record
    from ..tables.rows import Row
    from .entries import Table

MOST = 8
"""Lines of a figure: as many as there are colours."""
ENLARGED = 1.3
"""How much wider than on paper a figure may become."""
STEPS = 15
"""Steps of a loss that the table below its figure shows; the file beside it has all."""
Series = dict[str, list[tuple["Row", "Sequence[Record]"]]]


@dataclass(frozen=True)
class Figure:
    """A figure: its heading, a sentence below it, an element of SVG, and its numbers."""

    anchor: str
    heading: str
    caption: str
    svg: Element
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def figures(table: Table) -> Iterator[Figure]:
    """PSNR over bits, bytes and time, and the loss over the steps of each bit-width."""
    every = _series(table)
    if not every:
        return
    shown = dict(list(every.items())[:MOST])
    references, title = table.records[0].references, _title(table)
    numbers = _numbers(shown)
    most = f" Shown are {len(shown)} of {len(every)} methods: those at most bit-widths, then the best."
    left_out = most if len(every) > len(shown) else ""
    rows = [row for of in shown.values() for row, _ in of]
    drawn = psnr.draw(rows, references, title)
    caption = "In the legend the best stands on top; bars are one standard deviation over seeds." + left_out
    yield Figure("psnr-bits", "PSNR over bits", caption, svg(drawn, "PSNR over bits"), *numbers)
    costs: list[tuple[str, str, str, Callable[[Record], float], str]] = [
        ("psnr-bytes", "PSNR over bytes", "parameters (MB)", lambda record: weight_bytes(record) / 1e6,
         "All parameters at their bits, without bounds. A line joins the bit-widths of a method."),
        ("psnr-time", "PSNR over calibration time", "bounds and calibration (s)", calibration_seconds,
         "Seconds on the machine of each record, which may differ; loading and scoring are left out."),
    ]  # fmt: skip
    for anchor, heading, axis, cost, said in costs:
        points = {name: [(_mean(cost, records), row) for row, records in of] for name, of in shown.items()}
        drawn = tradeoff.draw(points, references, title, axis)
        yield Figure(anchor, heading, said + left_out, svg(drawn, heading), *numbers)
    for bits, losses in _losses(shown).items():
        heading = f"Loss over steps, {bits}"
        caption = (
            f"The faint line is every step, the strong line the mean of {loss.WINDOW}; of several seeds the first."
        )
        yield Figure(f"loss-{bits}", heading, caption, svg(loss.draw(losses, title), heading), *_steps(losses))


def loss_csv(table: Table) -> str:
    """All losses of the figures, a line per step and a column per run; empty if there are none."""
    found = _losses(dict(list(_series(table).items())[:MOST]))
    columns = {f"{name} {bits}": values for bits, losses in found.items() for name, values in losses.items()}
    steps = zip_longest(*columns.values())
    lines = [[str(step), *("" if v is None else f"{v:.4g}" for v in values)] for step, values in enumerate(steps, 1)]
    head = ["step", *map(_csv, columns)]
    return "\n".join([*map(",".join, [head, *lines]), ""]) if lines else ""


def _csv(text: str) -> str:
    """A name as a cell that no spreadsheet takes for a formula."""
    safe = printable(text)
    return '"{}{}"'.format("'" * safe.lstrip().startswith(tuple("-=+@")), safe.replace('"', '""'))


def _title(table: Table) -> str:
    spec = table.records[0].spec
    return f"{spec.model} x{spec.scale}, suite {spec.suite}"


def _series(table: Table) -> Series:
    """Rows by what their line is called: those at most bit-widths first, then the best on average."""
    several = len({row.scope for row in table.rows}) > 1
    found: Series = {}
    for row, records in zip(table.rows, table.of_row, strict=True):
        if not math.isnan(_psnr(row)):
            found.setdefault(f"{row.label}, {row.scope}" if several else row.label, []).append((row, records))

    def rank(name: str) -> tuple[int, float, str]:
        of = found[name]
        return -len({row.bits for row, _ in of}), -sum(_psnr(row) for row, _ in of) / len(of), name

    return {name: found[name] for name in sorted(found, key=rank)}


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
    length = max(map(len, losses.values()))
    steps = range(0, length, max(1, length // STEPS))
    return ["Step", *losses], [
        [str(step + 1), *(f"{of[step]:.4g}" if step < len(of) else "" for of in losses.values())] for step in steps
    ]


_SVG = "{http://www.w3.org/2000/svg}"
_XLINK = "{http://www.w3.org/1999/xlink}href"
_COLOURS = {"#ffffff": "none", "#000000": "currentColor", "#262626": "currentColor", "#4d4d4d": "currentColor"}
_COLOUR = re.compile("|".join(_COLOURS))
_LEFT_OUT = re.compile(r"(font-family|stroke-linecap|stroke-linejoin): [^;]*;? ?")
_LINE = re.compile(r"M [-\d.]+ [-\d.]+( L [-\d.]+ [-\d.]+| [-\d.]+ [-\d.]+)+( z)?")
"""A path of straight lines from one place to the next."""
_DECIMALS = re.compile(r"(?<=\.\d)\d+")


def svg(figure: Drawn, name: str) -> Element:
    """A figure as an element of a page: black and white become the colours of the page, places have one decimal."""
    root = fromstring(content(figure, ".svg"))
    box = root.attrib["viewBox"]
    width = ENLARGED * float(box.split()[2])
    _strip(root)
    root.attrib.clear()
    root.attrib |= {"role": "img", "aria-label": name, "viewBox": box, "style": f"max-width:{width:.0f}pt"}
    return root


def _strip(element: Element) -> None:
    """Leave out, below an element, what no page needs, and groups that say nothing."""
    kept: list[Element] = []
    for child in element:
        _strip(child)
        if child.tag in (f"{_SVG}metadata", f"{_SVG}style"):
            continue
        if child.tag in (f"{_SVG}g", f"{_SVG}text"):
            child.attrib.pop("id", None)
        _shorten(child)
        kept += list(child) if child.tag == f"{_SVG}g" and not child.attrib else [child]
    element[:] = kept
    element.tail = None
    if not (element.text or "").strip():
        element.text = None


def _shorten(element: Element) -> None:
    if _XLINK in element.attrib:
        element.attrib["href"] = element.attrib.pop(_XLINK)
    for name, value in element.attrib.items():
        if name == "style":
            coloured = _COLOUR.sub(lambda found: _COLOURS[found[0]], _LEFT_OUT.sub("", value))
            element.attrib[name] = coloured.replace("#e3e3e3", "var(--line)").replace(": ", ":").replace("; ", ";")
        elif name in ("d", "x", "y", "transform"):
            short = " ".join(_DECIMALS.sub("", value).split())
            element.attrib[name] = _steps_of(short) if name == "d" and _LINE.fullmatch(short) else short
    if element.attrib.get("transform", "").startswith("rotate(-0 "):
        del element.attrib["transform"]


def _steps_of(path: str) -> str:
    """The same path with the steps from place to place, which are shorter than the places.

    >>> _steps_of("M 10 20 L 11.5 18 L 11 18.5 z")
    'M10 20l1.5-2-.5 .5z'
    """
    numbers = [round(10 * float(number)) for number in re.findall(r"-?[\d.]+", path)]  # tenths: no error adds up
    steps = [now - before for before, now in zip(numbers, numbers[2:], strict=False)]
    start = f"M{_tenths(numbers[0])} {_tenths(numbers[1])}"
    words = (text if text.startswith("-") else f" {text}" for text in map(_tenths, steps))
    return f"{start}l{''.join(words).lstrip()}{'z' * path.endswith('z')}"


def _tenths(number: int) -> str:
    return f"{number / 10:g}".replace("0.", ".", 1) if abs(number) < 10 else f"{number / 10:g}"


def html(svg: Element) -> str:
    """The element as text that stands within HTML, which knows the names of SVG by themselves."""
    register_namespace("", _SVG[1:-1])
    return tostring(svg, encoding="unicode").replace(' xmlns="http://www.w3.org/2000/svg"', "", 1)
