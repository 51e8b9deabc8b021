"""What the page of an image and the page of a table's sites say, from the gallery of the table."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..plots.bounds import draw_percentiles
from ..plots.canvas import colour
from ..tables import cells
from ..tables.labels import REFERENCES
from .figures import MOST
from .svg import svg

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from xml.etree.ElementTree import Element

    from ..gallery.views import BoundsView, Gallery, ImageView, SiteView, StudentView
    from ..records.record import Record
    from ..tables.rows import Row
    from .entries import Table

PICTURES = {"fp": "fp", "bicubic": "bicubic", "bilinear": ""}
"""The pictures of the references."""
WIDTH, HEIGHT = 128, 40
"""Units of the drawing of a histogram."""


@dataclass(frozen=True)
class Picture:
    """A picture of one image: its file without the suffix, what made it, and its PSNR in dB there."""

    file: str
    name: str
    psnr: float


@dataclass(frozen=True)
class Line:
    """The scores of a method on one image, the mean over seeds; `picture` is that of the first seed that has one."""

    label: str
    bits: str
    scope: str
    psnr: float
    ssim: float
    less_fp: float
    picture: str


def pictures(table: Table, gallery: Gallery, view: ImageView) -> Iterator[Picture]:
    """FP and bicubic, then the students in the order of the lines, each seed by itself."""
    first = table.records[0]
    for name, references in first.references:
        if PICTURES[name]:
            scores = references[view.dataset].images[view.name]
            bits = " 32/32" if name == "fp" else ""
            yield Picture(PICTURES[name], REFERENCES[name] + bits, scores.get("psnr", math.nan))
    several = len({row.scope for row in table.rows}) > 1
    for row, records in _ordered(table, view):
        scope = f", {row.scope}" if several else ""
        for record in records:
            if student := gallery.students.get(record.key):
                psnr = record.scores[view.dataset].images[view.name].get("psnr", math.nan)
                yield Picture(student.picture, f"{_called(table, record)} {cells.bits(row)}{scope}", psnr)


def lines(table: Table, gallery: Gallery, view: ImageView) -> Iterator[Line]:
    """References, then rows from many bits to few, from the best to the worst."""
    first = table.records[0]
    full = _mean([first.references.fp[view.dataset].images[view.name]], "psnr")
    for name, references in first.references:
        scores = [references[view.dataset].images[view.name]]
        yield _line(REFERENCES[name], "32/32" if name == "fp" else "", "", scores, full, PICTURES[name])
    for row, records in _ordered(table, view):
        picture = next((gallery.students[each.key].picture for each in records if each.key in gallery.students), "")
        yield _line(cells.called(row), cells.bits(row), row.scope, _scores(records, view), full, picture)


def _ordered(table: Table, view: ImageView) -> list[tuple[Row, Sequence[Record]]]:
    def place(of: tuple[Row, Sequence[Record]]) -> tuple[Any, ...]:
        row, records = of
        psnr = _mean(_scores(records, view), "psnr")
        return -row.bits.weight, -row.bits.activation, math.inf if math.isnan(psnr) else -psnr, row.label

    return sorted(zip(table.rows, table.of_row, strict=True), key=place)


def _scores(records: Sequence[Record], view: ImageView) -> list[Mapping[str, float]]:
    return [record.scores[view.dataset].images[view.name] for record in records]


def _line(label: str, bits: str, scope: str, scores: Sequence[Mapping[str, float]], full: float, picture: str) -> Line:
    psnr = _mean(scores, "psnr")
    less = psnr - full if math.isfinite(psnr) and math.isfinite(full) else math.nan
    return Line(label, bits, scope, psnr, _mean(scores, "ssim"), less, picture)


def _mean(scores: Sequence[Mapping[str, float]], metric: str) -> float:
    return sum(of.get(metric, math.nan) for of in scores) / len(scores)


@dataclass(frozen=True)
class Student:
    """A student on the page of sites."""

    label: str
    colour: str
    view: StudentView


@dataclass(frozen=True)
class SitesPage:
    """The students of one scope and bit-width, with the sites; `name` is the page's, without a suffix."""

    name: str
    title: str
    students: Sequence[Student]
    sites: Sequence[SiteView]

    @property
    def figure(self) -> Element:
        """The percentiles of the bounds of at most MOST students."""
        shares = {
            of.label: [{"lower": b.below, "upper": 100 - b.above} for b in map(of.view.bounds.__getitem__, self._names)]
            for of in self.students[:MOST]
        }
        return svg(
            draw_percentiles([site.role for site in self.sites], shares, self.title), "Bounds as percentiles", "p"
        )

    @property
    def sensitive(self) -> Sequence[Student]:
        """The students whose sensitivities are stored."""
        return [student for student in self.students if student.view.sensitivity]

    @property
    def _names(self) -> list[str]:
        return [site.name for site in self.sites]

    def marks(self, site: SiteView) -> Iterator[tuple[str, float]]:
        """The colours and places of the bounds within the drawing of a histogram."""
        for student in self.students[:MOST]:
            of: BoundsView = student.view.bounds[site.name]
            for end in (of.lower, of.upper):
                yield student.colour, _place(end, site)


def sites_pages(table: Table, gallery: Gallery) -> Iterator[SitesPage]:
    """A page per bit-width and scope that has a stored state."""
    found: dict[tuple[str, str], list[Record]] = {}
    for records in table.of_row:
        for record in records:
            if record.key in gallery.students:
                found.setdefault((str(record.spec.bits), record.scope.short), []).append(record)
    for (bits, scope), of in found.items():
        several = len({known for _, known in found}) > 1
        words = re.sub(r"[^a-z0-9]+", "-", scope.lower()).strip("-")
        place = f"-{list(gallery.sites).index(scope)}-{words}" if several else ""
        students = [
            Student(_called(table, record), colour(index) if index < MOST else "", gallery.students[record.key])
            for index, record in enumerate(of)
        ]
        title = f"{table.path}, {bits}{f', {scope}' if several else ''}"
        yield SitesPage(f"sites-{bits}{place}", title, students, gallery.sites[scope])


def _called(table: Table, record: Record) -> str:
    seed = record.spec.seed
    return f"{table.labels[record.key]}{f' [seed {seed}]' if seed else ''}"


def outline(histogram: Sequence[float]) -> str:
    """The path of a histogram of 0 to 1 per bin, WIDTH x HEIGHT."""
    step = f"h{WIDTH / len(histogram):.4g}"
    tops = [HEIGHT - round((HEIGHT - 1) * share) for share in histogram]
    return f"M0 {HEIGHT}{''.join(f'V{top}{step}' for top in tops)}V{HEIGHT}z"


def _place(value: float, site: SiteView) -> float:
    width = site.maximum - site.minimum
    place = WIDTH * (value - site.minimum) / width if width else WIDTH / 2
    return round(min(max(place, -2.0), WIDTH + 2.0), 1)
