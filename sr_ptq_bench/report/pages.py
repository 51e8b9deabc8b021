"""Pages from templates. All that comes from records is escaped; the one module of jinja2."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ..errors import SrqError, printable
from ..tables import cells
from ..tables.formats import Bold
from .assets import script_hash
from .entries import MEASURED
from .figures import MOST, PLACES
from .images import outline
from .provenance import common, sections, shared_facts
from .svg import html

try:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup
except ImportError as missing:
    raise SrqError('a report needs jinja2; install it with `pip install "sr_ptq_bench[report]"`') from missing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..gallery.views import ImageView
    from ..tables.rows import Difference
    from .entries import Entry, Table
    from .figures import Figure
    from .images import Line, Picture, SitesPage


VERSION_HERE = "@the version of the site@"
"""Stands in the pages of a site that is shown until its version is known."""


def _finalize(value: Any) -> Any:
    """What is no markup of ours is one line without invisible characters, such as those that turn a text round."""
    return value if isinstance(value, Markup) or not isinstance(value, str) else printable(value)


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader(__package__), autoescape=True, undefined=StrictUndefined, finalize=_finalize,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters |= {
        "score": cells.number, "difference": _difference, "digits": _digits, "svg": lambda svg: Markup(html(svg)),
        "megabytes": lambda size: _digits(size / 1e6), "gibibytes": lambda size: _digits(size / 2**30),
        "outline": outline, "note": _note,
    }  # fmt: skip
    made.globals["version"] = VERSION_HERE
    return made


def _digits(value: float) -> str:
    """Three digits of a number."""
    if math.isnan(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _note(text: str) -> Markup:
    """A note, with what stands between backticks as code."""
    parts = printable(text).split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if index % 2 else Markup.escape(part) for index, part in enumerate(parts)
    )


def _difference(difference: Difference | None) -> Markup:
    """A difference with its interval, bold where the interval leaves out zero."""
    cell = cells.difference(difference)
    parts = (cell,) if isinstance(cell, str) else cell
    return Markup("").join(Markup("<b>{}</b>").format(p) if isinstance(p, Bold) else Markup.escape(p) for p in parts)


def board(entries: Sequence[Entry], tables: Iterable[Table], command: str, *, live: bool) -> str:
    """The first page: all entries, and links to the pages of the tables."""
    template = _environment().get_template("board.html")
    measured = sum(entry.kind == MEASURED for entry in entries)
    return template.render(
        entries=entries, tables=list(tables), root="", command=command, live=live, measured=measured,
        script=script_hash(),
    )  # fmt: skip


def table(
    of: Table, figures: Iterable[Figure], losses: str, images: Sequence[ImageView], sites: Sequence[SitesPage], *,
    live: bool,
) -> str:  # fmt: skip
    """The page of one table: figures, notes, and where each record comes from; `losses` is the name of a file.

    `images` and `sites` have pages of their own.
    """
    template = _environment().get_template("table.html")
    own, software = sections(of)
    shared = common(own)
    return template.render(
        table=of, figures=list(figures), sections=own, software=software, shared=shared_facts(of.records[0]) | shared,
        losses=losses, places=PLACES, root="../", live=live, images=images, sites=sites,
        place=of.path.rpartition("/")[2],
    )  # fmt: skip


def image(
    of: Table, view: ImageView, images: Sequence[ImageView], pictures: Sequence[Picture], lines: Iterable[Line], *,
    live: bool,
) -> str:  # fmt: skip
    """The page of one image of a table: pictures under a slider, crops, scores."""
    known = {picture.file: picture for picture in pictures}
    crops = {
        bits: [("hr", "HR", math.inf, math.inf)]
        + [(name, known[name].name, psnr, known[name].psnr) for name, psnr in crop.psnr.items() if name in known]
        for bits, crop in view.crops.items()
    }
    template = _environment().get_template("image.html")
    return template.render(
        table=of, view=view, images=images, pictures=pictures, lines=list(lines), crops=crops, root="../../", live=live
    )


def sites(of: Table, page: SitesPage, pages: Sequence[SitesPage], *, live: bool) -> str:
    """The page of all sites at one bit-width: what methods changed, and their bounds within distributions."""
    template = _environment().get_template("sites.html")
    return template.render(table=of, page=page, pages=pages, most=MOST, nan=math.nan, root="../../", live=live)
