"""What the page of an image and the page of a table's sites say, from the gallery of the table."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
    from .entries import Table

PICTURES = {"fp": "fp", "bicubic": "bicubic", "bilinear": ""}
"""The pictures of the references."""
WIDTH, HEIGHT = 128, 40
"""Units of the drawing of a histogram."""


@dataclass(frozen=True)
class Line:
    """The scores of a method on one image; `picture` names its picture, if there is one."""

    label: str
    bits: str
    scope: str
    psnr: float
    ssim: float
    less_fp: float
    picture: str

    @property
    def name(self) -> str:
        """Method and bits."""
        return f"{self.label} {self.bits}".strip()


def lines(table: Table, gallery: Gallery, view: ImageView) -> Iterator[Line]:
    """References, then rows from many bits to few, from the best to the worst."""
    first = table.records[0]
    full = _mean([first.references.fp[view.dataset].images[view.name]], "psnr")
    for name, references in first.references:
        scores = [references[view.dataset].images[view.name]]
        yield _line(REFERENCES[name], "32/32" if name == "fp" else "", "", scores, full, PICTURES[name])
    found = []
    for row, records in zip(table.rows, table.of_row, strict=True):
        scores = [record.scores[view.dataset].images[view.name] for record in records]
        picture = next((gallery.students[each.key].picture for each in records if each.key in gallery.students), "")
        line = _line(cells.called(row), cells.bits(row), row.scope, scores, full, picture)
        found.append(((-row.bits.weight, -row.bits.activation, -_known(line.psnr), line.label), line))
    yield from (line for _, line in sorted(found, key=lambda each: each[0]))


def _line(label: str, bits: str, scope: str, scores: Sequence[Mapping[str, float]], full: float, picture: str) -> Line:
    psnr = _mean(scores, "psnr")
    less = psnr - full if math.isfinite(psnr) and math.isfinite(full) else math.nan
    return Line(label, bits, scope, psnr, _mean(scores, "ssim"), less, picture)


def _mean(scores: Sequence[Mapping[str, float]], metric: str) -> float:
    return sum(of.get(metric, math.nan) for of in scores) / len(scores)


def _known(value: float) -> float:
    return -math.inf if math.isnan(value) else value


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
