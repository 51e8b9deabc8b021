"""The files of a site, and writing them."""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING, Any

from ..errors import SrqError, printable
from ..gallery.views import Gallery
from ..storage.files import write_atomically
from ..tables.formats import Page, render
from ..tables.leaderboard import groups
from . import pages
from .assets import assets
from .entries import measured_entries, published_entries, table_of
from .figures import figures, loss_csv
from .images import lines, pictures, sites_pages

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from ..records.record import Record
    from ..tables.published_scores import Published
    from .entries import Entry, Table

_EMPTY = Gallery([], {}, {})
_COSTS = {"compression", "speedup", "calibration_seconds", "total_seconds"}
VERSION = "version.txt"
"""Of a site that is shown while it is made again: a file that changes with any other."""
MARK, _MARKED = "leaderboard.json", b'{"columns": ["id", "kind", "suite", '
"""The file by which a site of srq is known, and how it begins."""
_TITLE = b"<title>PTQ of super-resolution: leaderboard</title>"


def build(
    records: Iterable[Record],
    published: Iterable[Published],
    command: str,
    galleries: Mapping[str, Gallery] | None = None,
    *,
    live: bool = False,
    left_out: dict[str, str] | None = None,
) -> dict[str, str]:
    """The contents of all files by their paths below the site; the same for the same records.

    `command` is said to have made the site. `galleries` are by the paths of tables; their pictures are files already.
    A table of records that do not compare is left out, and `left_out` says why. Raises SrqError for one if there is no
    `left_out`, for a missing library, and for two files of one name.
    """
    tables = list(_tables(records, left_out))
    galleries = galleries or {}
    entries = [*(entry for table in tables for entry in measured_entries(table)), *published_entries(published)]
    site = {f"assets/{name}": text for name, text in assets(with_images=bool(galleries)).items()}
    site["index.html"] = pages.board(entries, tables, command, live=live)
    site["leaderboard.csv"] = _csv(entries)
    site["leaderboard.json"] = _json(entries)
    for table in tables:
        losses = loss_csv(table)
        name = f"{table.path}-loss.csv"
        gallery = galleries.get(table.path, _EMPTY)
        sites = list(sites_pages(table, gallery))
        losses_file = name.rpartition("/")[2]
        site[f"{table.path}.html"] = pages.table(table, figures(table), losses_file, gallery.images, sites, live=live)
        for view in gallery.images:
            known, scores = list(pictures(table, gallery, view)), lines(table, gallery, view)
            page = pages.image(table, view, gallery.images, known, scores, live=live)
            site[f"{table.path}/{view.folder}.html"] = page
        site |= {f"{table.path}/{page.name}.html": pages.sites(table, page, sites, live=live) for page in sites}
        site |= {name: losses} if losses else {}
    _check_names(site)
    if live:
        version = hashlib.sha256("".join(site.values()).encode()).hexdigest()
        site = {name: text.replace(pages.VERSION_HERE, version) for name, text in site.items()} | {VERSION: version}
    return site


def _tables(records: Iterable[Record], left_out: dict[str, str] | None) -> Iterator[Table]:
    for path, of in groups(records).items():
        try:
            yield table_of(path, of)
        except SrqError as error:
            if left_out is None:
                raise
            left_out[path] = f"{path}: {error}"


def _check_names(site: Iterable[str]) -> None:
    """Raise SrqError if two files have one name where case does not count, or one is the folder of another."""
    known: dict[str, str] = {VERSION: VERSION}
    for name in site:
        other = known.setdefault(name.casefold(), name)
        if other != name:
            raise SrqError(f"{other} and {name} of the site would be one file on some systems; rename suite or network")
    for name in site:
        folder = name.casefold().partition("/")[0]
        if folder != name.casefold() and folder in known:
            raise SrqError(f"suite '{name.partition('/')[0]}' has the name of a file of the site; rename the suite")


def is_site(folder: Path) -> bool:
    """Whether srq made the files of the folder; people copy the data of a site to pages of their own."""
    mark, index = folder / MARK, folder / "index.html"
    if not mark.is_file() or not mark.read_bytes().startswith(_MARKED):
        return False
    return not index.exists() or _TITLE in index.read_bytes()  # without: srq was killed while writing


def write(site: dict[str, str], folder: Path) -> None:
    """Write what differs from what is there: first what marks the folder as a site, last the version.

    Raises SrqError if the system refuses.
    """
    for name in sorted(site, key=lambda name: (name == VERSION, name != MARK)):
        path, content = folder / name, site[name].encode()
        if not path.is_file() or path.read_bytes() != content:
            write_atomically(path, content)


def _csv(entries: Sequence[Entry]) -> str:
    lines = [{key: _short(key, value) for key, value in entry.values().items()} for entry in entries]
    return render([Page("", "", [], [], lines)], "csv")


def _json(entries: Sequence[Entry]) -> str:
    """Columns once, then rows: a third of the size of a list of objects."""
    spelt: dict[str, Any] = {"ensure_ascii": False, "allow_nan": False, "separators": (",", ":")}
    lines = [{key: _plain(_short(key, value)) for key, value in entry.values().items()} for entry in entries]
    rows = ",\n".join(json.dumps(list(line.values()), **spelt) for line in lines)
    return f'{{"columns": {json.dumps(list(lines[0]))}, "rows": [\n{rows}\n]}}\n'


def _short(name: str, value: Any) -> Any:
    """Scores have four decimals, bytes none, other measurements four digits."""
    if not isinstance(value, float) or not math.isfinite(value):
        return value
    if name.endswith("bytes"):
        return round(value)
    return float(f"{value:.4g}") if name in _COSTS else round(value, 4)


def _plain(value: Any) -> Any:
    """JSON has neither NaN nor infinity."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return printable(value) if isinstance(value, str) else value
