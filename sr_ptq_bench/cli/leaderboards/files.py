"""The Markdown files of tables, and whether they are up to date."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import SrqError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from ...tables.formats import Page

PUBLISHED = "-published"
"""How the file of a table with published scores ends, before its suffix."""


def texts(pages: Mapping[str, Page], out: Path, published: bool) -> dict[Path, str]:
    """The Markdown tables by their files."""
    from ...tables.formats import markdown

    return {out / f"{path}{PUBLISHED * published}.md": markdown(page) for path, page in pages.items()}


def found(out: Path, suite: str | None, published: bool) -> dict[Path, str]:
    """The texts of the existing tables of one kind."""
    every = (path for path in sorted(out.glob("*/*.md")) if not path.name.startswith("."))
    paths = [path for path in every if path.stem.endswith(PUBLISHED) == published]
    return {path: _content(path) for path in paths if suite in (None, path.parent.name)}


def check(texts: Mapping[Path, str], found: Mapping[Path, str], renew: str) -> None:
    """Raise SrqError that names every file that is out of date."""
    from ...tables.leaderboard import MARK

    missing = [f"{path} is missing" for path in texts if path not in found]
    stale = [f"{path} is stale" for path, text in found.items() if texts.get(path, text) != text]
    if missing or stale:
        raise SrqError(f"{', '.join(missing + stale)}; renew with `{renew}`")
    superfluous = [str(path) for path, text in found.items() if path not in texts and text.startswith(MARK)]
    if superfluous:
        raise SrqError(f"{', '.join(superfluous)}: no records for it any more; remove it")


def check_own(paths: Iterable[Path]) -> None:
    """Raise SrqError for a file that exists and was not made by srq."""
    from ...tables.leaderboard import MARK

    for path in paths:
        if path.exists() and not _content(path).startswith(MARK):
            raise SrqError(f"{path} was not made by `srq table` and stays; move it, or choose another --out")


def _content(path: Path) -> str:
    """The text of a table with the line ends as committed; git may change them on Windows (core.autocrlf)."""
    try:
        return path.read_bytes().decode(errors="replace").replace("\r\n", "\n")
    except OSError as error:
        raise SrqError(f"cannot read {path}: {error.strerror or error}") from error


def is_left_out(path: Path, out: Path, left_out: Mapping[str, str]) -> bool:
    """Whether no table was made for this file, by the name of its suite or its own."""
    name = path.relative_to(out).with_suffix("").as_posix().removesuffix(PUBLISHED)
    return name in left_out or path.parent.name in left_out
