"""`srq report`: a site made from the records."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import options as declared

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..tables.published_scores import Published


@click.command()
@click.option(
    "--out",
    "-o",
    default=Path("site"),
    show_default=True,
    type=declared.FOLDER,
    metavar="DIR",
    help="The site's folder.",
)
@declared.results
@click.option("--suite", metavar="NAME", help="Only the records of this suite; default: all suites found.")
@click.option("--skip-bad", is_flag=True, help="Leave out records that are damaged, and name each on stderr.")
@click.option("--serve", is_flag=True, help="Show the site on this machine, and make it again when records change.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="With --serve.")
def report(out: Path, results: Path, suite: str | None, skip_bad: bool, serve: bool, port: int) -> None:
    """Make a site from the records: a leaderboard, figures, and where each record comes from.

    Open DIR/index.html in a browser; it needs neither a server nor a network. Published scores are taken from
    published.csv beside the folder of the records, if it is there.

    Needs jinja2, itables and matplotlib: pip install "sr_ptq_bench[report]".

    \b
    srq report -o site
    srq report --serve
    """
    from ..report.site import build, write
    from .leaderboards.records import say_left_out, suite_records, tell_left_out
    from .writable import check_writable

    check_writable(out)
    words = ["srq", "report", *(["--suite", suite] if suite else [])]

    def make() -> None:
        left_out: dict[str, str] = {}
        records = suite_records(results, suite, say_left_out if skip_bad or serve else None, left_out)
        if records:
            write(build(records, _published(results), shlex.join(words), live=serve), out)
        tell_left_out(left_out, skip_bad or serve)

    make()
    click.echo(f"wrote {out / 'index.html'}", err=True)
    if serve:
        _serve(out, results, make, port)


def _serve(out: Path, results: Path, make: Callable[[], None], port: int) -> None:
    from ..report.serve import server, watch

    with server(out, port) as address:
        click.echo(f"{address} shows it; stop with Ctrl-C", err=True)
        try:
            watch(results, make, lambda why: click.echo(f"srq: {why}", err=True))
        except KeyboardInterrupt:
            click.echo("srq: stopped", err=True)


def _published(results: Path) -> list[Published]:
    from ..tables.published_scores import read_published

    path = results.parent / "published.csv"
    return read_published(path) if path.is_file() else []
