"""The tables of all records, and why a table cannot be made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import SrqError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ...records.record import Record
    from ...tables.formats import Page


def measured_pages(records: list[Record], left_out: dict[str, str]) -> dict[str, Page]:
    """The tables of the records by their paths without a suffix; those that cannot be made are `left_out`."""
    from ...tables.leaderboard import page

    return _made(records, page, left_out)


def published_pages(records: list[Record], out: Path, left_out: dict[str, str]) -> dict[str, Page]:
    """The tables with published scores, if there are any; raises SrqError if there are none at all."""
    from ...tables.published import page
    from ...tables.published_scores import published_file, read_published

    known = read_published(published_file(out))
    compared = _made(records, lambda of: page(of, known), left_out)
    if not compared and not left_out:
        sets = ", ".join(dict.fromkeys(row.dataset for row in known)) or "none"
        raise SrqError(f"no published scores for these networks and test sets; published test sets: {sets}")
    return compared


def _made(
    records: list[Record], make: Callable[[list[Record]], Page | None], left_out: dict[str, str]
) -> dict[str, Page]:
    """The pages that `make` gives, by path; why a table cannot be made goes to `left_out`."""
    from ...tables.leaderboard import groups

    pages: dict[str, Page] = {}
    for path, of in groups(records).items():
        try:
            page = make(of)
        except SrqError as error:
            left_out[path] = f"{path}: {error}"
        else:
            pages |= {path: page} if page else {}
    return pages
