"""`srq table`: the leaderboards, made from the records."""

from __future__ import annotations

import gc
import shlex
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import SrqError
from . import options as declared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ..progress import Say
    from ..records.record import Record
    from ..tables.formats import Format, Page

OUT = Path("leaderboards")
PUBLISHED = "-published"


@contextmanager
def _no_search_for_cycles() -> Iterator[None]:
    """Without Python's search for reference cycles: 10,000 records have none, and it took a quarter of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@click.command()
@click.option("--suite", metavar="NAME", help="Only the tables of this suite; default: all suites found.")
@click.option(
    "--results", type=declared.FOLDER, metavar="DIR", help="Records, in DIR/SUITE/*.json; default: OUT/results."
)
@click.option(
    "--out",
    type=declared.FOLDER,
    metavar="OUT",
    default=OUT,
    show_default=True,
    help="Markdown tables go to OUT/SUITE/MODEL-xSCALE.md.",
)
@click.option(
    "--published",
    is_flag=True,
    help="Measured beside published scores (OUT/published.csv, else srq's own), in MODEL-xSCALE-published.md.",
)
@declared.table_format("All but Markdown is printed and not written; CSV and JSON are one table of all suites.")
@click.option("--check", is_flag=True, help="Write nothing; fail if a Markdown table is out of date.")
@click.option(
    "--skip-bad",
    is_flag=True,
    help="Leave out damaged records, and tables of records that do not compare; name each on stderr.",
)
@_no_search_for_cycles()
def table(
    suite: str | None,
    results: Path | None,
    out: Path,
    published: bool,
    as_format: Format,
    check: bool,
    skip_bad: bool,
) -> None:
    """Turn records into tables: Markdown to files, and the same to the screen, or another format.

    Every `srq run` leaves a record, a JSON file with the scores of one method. This command gathers the
    records of a suite into one table per network and scale, together with the full-precision (FP) network and
    plain interpolation. Tables are not edited by hand: add a record and make them again.

    \b
    srq run --method minmax --bits 4 --scale 2
    srq table --suite sample
    srq table --suite sample --format csv > sample.csv
    """
    from ..storage.files import write_atomically
    from ..tables.formats import render

    if check and as_format != "markdown":
        raise click.UsageError(f"--check is of the Markdown files; leave out --format {as_format}")
    if check and skip_bad:
        raise click.UsageError("--check is of all records; leave out --skip-bad")
    left_out: dict[str, str] = {}
    records = suite_records(results or out / "results", suite, say_left_out if skip_bad else None, left_out)
    pages = _published(records, out, left_out) if published else _pages(records, left_out)
    if not pages:
        raise SrqError("; ".join(left_out.values()))
    if as_format != "markdown":
        click.echo(render(pages.values(), as_format), nl=False)
    elif check:
        texts = _texts(pages, out, published)
        found = _found(out, suite, published)
        known = {path: text for path, text in found.items() if not _is_left_out(path, out, left_out)}
        _check(texts, known, _command(suite, results, out, published))
        click.echo(f"{len(texts)} table{'s' * (len(texts) > 1)} up to date")
    else:
        texts = _texts(pages, out, published)
        for path, text in texts.items():
            write_atomically(path, text)
        if sys.stdout.isatty():
            _show(pages, texts)
        else:
            for path, text in texts.items():
                click.echo(f"{path}\n\n{text}")
    tell_left_out(left_out, skip_bad)


def _texts(pages: Mapping[str, Page], out: Path, published: bool) -> dict[Path, str]:
    """The Markdown tables by their files."""
    from ..tables.formats import markdown

    return {out / f"{path}{PUBLISHED * published}.md": markdown(page) for path, page in pages.items()}


def _is_left_out(path: Path, out: Path, left_out: Mapping[str, str]) -> bool:
    """Whether no table was made for this file, by the name of its suite or its own."""
    name = path.relative_to(out).with_suffix("").as_posix().removesuffix(PUBLISHED)
    return name in left_out or path.parent.name in left_out


def tell_left_out(left_out: Mapping[str, str], skip_bad: bool) -> None:
    """Say which tables were left out and why: as an error, or as a line each with --skip-bad."""
    if not skip_bad and left_out:
        raise SrqError(f"left out: {'; '.join(left_out.values())}")
    for why in left_out.values():
        say_left_out(why)


def _show(pages: Mapping[str, Page], texts: Mapping[Path, str]) -> None:
    """Tables for this terminal; those in files are for other readers."""
    from .display import Display

    display = Display()
    for page, path in zip(pages.values(), texts, strict=True):
        display.page(page)
        click.echo(f"\n{path}\n")


def say_left_out(why: str) -> None:
    """Name a record that is left out, and why."""
    click.echo(f"srq: left out: {why}", err=True)


def suite_records(results: Path, suite: str | None, skip: Say | None, left_out: dict[str, str]) -> list[Record]:
    """The records of one suite or of all; raises SrqError if there are none.

    A suite with a damaged record, or with one of another suite, is left out, and `left_out` says why. With `skip`
    only the damaged records are left out and reported to it.
    """
    folders = [results / suite] if suite else sorted(filter(_is_folder, results.glob("*")))
    records: list[Record] = []
    for folder in folders:
        try:
            records += _records_of(folder, skip)
        except SrqError as error:
            left_out[folder.name] = str(error)
    if not records and not left_out:
        ask = f"srq run --method minmax --bits 4 --scale 2 --suite {suite or 'sample'}"
        raise SrqError(f"no records in {results / suite if suite else results}; make one: `{ask}`")
    return records


def _records_of(folder: Path, skip: Say | None) -> list[Record]:
    from ..records.files import name_of, read_records

    records = read_records(folder, skip)
    for record in records:
        if record.spec.suite != folder.name:
            path = folder / name_of(record)
            raise SrqError(f"record {path} is of suite '{record.spec.suite}'; move it into that folder")
    return records


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".")


def _pages(records: list[Record], left_out: dict[str, str]) -> dict[str, Page]:
    """The tables of the records by their paths without a suffix; those that cannot be made are `left_out`."""
    from ..tables.leaderboard import page

    return _made(records, page, left_out)


def _published(records: list[Record], out: Path, left_out: dict[str, str]) -> dict[str, Page]:
    """The tables with published scores, if there are any; raises SrqError if there are none at all."""
    from ..tables.published import page
    from ..tables.published_scores import published_file, read_published

    known = read_published(published_file(out))
    compared = _made(records, lambda of: page(of, known), left_out)
    if not compared and not left_out:
        sets = ", ".join(dict.fromkeys(row.dataset for row in known)) or "none"
        raise SrqError(f"nothing published is of the networks and test sets measured here; published are: {sets}")
    return compared


def _made(
    records: list[Record], make: Callable[[list[Record]], Page | None], left_out: dict[str, str]
) -> dict[str, Page]:
    """The pages that `make` gives, by path; why a table cannot be made goes to `left_out`."""
    from ..tables.leaderboard import groups

    pages: dict[str, Page] = {}
    for path, of in groups(records).items():
        try:
            page = make(of)
        except SrqError as error:
            left_out[path] = f"{path}: {error}"
        else:
            pages |= {path: page} if page else {}
    return pages


def _command(suite: str | None, results: Path | None, out: Path, published: bool) -> str:
    """The command that renews the tables that were checked."""
    words = ["srq", "table"]
    words += ["--published"] if published else []
    words += ["--suite", suite] if suite else []
    words += ["--results", str(results)] if results else []
    words += ["--out", str(out)] if out != OUT else []
    return shlex.join(words)


def _found(out: Path, suite: str | None, published: bool) -> dict[Path, str]:
    """The texts of the existing tables of one kind."""
    found = (path for path in sorted(out.glob("*/*.md")) if not path.name.startswith("."))
    paths = [path for path in found if path.stem.endswith(PUBLISHED) == published]
    return {path: _content(path) for path in paths if suite in (None, path.parent.name)}


def _check(texts: Mapping[Path, str], found: Mapping[Path, str], renew: str) -> None:
    """Raise SrqError that names every file that is out of date."""
    from ..tables.leaderboard import MARK

    missing = [f"{path} is missing" for path in texts if path not in found]
    stale = [f"{path} is stale" for path, text in found.items() if texts.get(path, text) != text]
    if missing or stale:
        raise SrqError(f"{', '.join(missing + stale)}; renew with `{renew}`")
    superfluous = [str(path) for path, text in found.items() if path not in texts and text.startswith(MARK)]
    if superfluous:
        raise SrqError(f"{', '.join(superfluous)}: no records for it any more; remove it")


def _content(path: Path) -> str:
    """The text of a table with the line ends as committed; git may change them on Windows (core.autocrlf)."""
    try:
        return path.read_bytes().decode(errors="replace").replace("\r\n", "\n")
    except OSError as error:
        raise SrqError(f"cannot read {path}: {error.strerror or error}") from error
