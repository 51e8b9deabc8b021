"""`srq table`: the leaderboards, made from the records."""

from __future__ import annotations

import gc
import shlex
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...errors import SrqError
from .. import options as declared

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ...tables.formats import Format, Page

OUT = Path("leaderboards")


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
@click.option("--suite", metavar="SUITE", help="Only the tables of this suite; default: all suites found.")
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
    help="Compare with published scores (OUT/published.csv, or srq's own) in MODEL-xSCALE-published.md.",
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
    if check and as_format != "markdown":
        raise click.UsageError(f"--check is of the Markdown files; leave out --format {as_format}")
    if as_format != "markdown" and results and not published and declared.is_given("out"):
        raise click.UsageError(f"--format {as_format} is printed; leave out --out")
    if check and skip_bad:
        raise click.UsageError("--check needs all records; leave out --skip-bad")

    from ..leaderboards.pages import measured_pages, published_pages
    from ..leaderboards.records import say_left_out, suite_name, suite_records, tell_left_out

    suite = suite and suite_name(suite)
    left_out: dict[str, str] = {}
    records = suite_records(results or out / "results", suite, say_left_out if skip_bad else None, left_out)
    pages = published_pages(records, out, left_out) if published else measured_pages(records, left_out)
    if not pages:
        raise SrqError("; ".join(left_out.values()))
    if as_format != "markdown":
        _print(pages, as_format)
    elif check:
        _check(pages, out, suite, published, left_out, _command(suite, results, out, published))
    else:
        _write(pages, out, published)
    tell_left_out(left_out, skip_bad)


def _print(pages: Mapping[str, Page], as_format: Format) -> None:
    from ...tables.formats import render

    click.echo(render(pages.values(), as_format), nl=False)


def _check(
    pages: Mapping[str, Page], out: Path, suite: str | None, published: bool, left_out: Mapping[str, str], renew: str
) -> None:
    """Say that every table is up to date; raises SrqError with the command that renews them where one is not."""
    from ..leaderboards import files

    texts = files.texts(pages, out, published)
    found = files.found(out, suite, published)
    files.check(texts, {path: found[path] for path in found if not files.is_left_out(path, out, left_out)}, renew)
    click.echo(f"{len(texts)} table{'s' * (len(texts) > 1)} up to date")


def _write(pages: Mapping[str, Page], out: Path, published: bool) -> None:
    """The tables into their files, and on the screen."""
    from ...storage.files import write_atomically
    from ..leaderboards import files

    texts = files.texts(pages, out, published)
    files.check_own(texts)
    for path, text in texts.items():
        write_atomically(path, text)
    if sys.stdout.isatty():
        _show(pages, texts)
    else:
        for path, text in texts.items():
            click.echo(f"{path}\n\n{text}")


def _show(pages: Mapping[str, Page], texts: Mapping[Path, str]) -> None:
    """Tables for this terminal; those in files are for other readers."""
    from ..display import Display

    display = Display()
    for page, path in zip(pages.values(), texts, strict=True):
        display.page(page)
        click.echo(f"\n{path}\n")


def _command(suite: str | None, results: Path | None, out: Path, published: bool) -> str:
    """The command that renews the tables that were checked."""
    words = ["srq", "table"]
    words += ["--published"] if published else []
    words += ["--suite", suite] if suite else []
    words += ["--results", str(results)] if results else []
    words += ["--out", str(out)] if out != OUT else []
    return shlex.join(words)
