"""`srq report`: a site made from the records."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .. import options as declared
from ..loudness import note

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...gallery.views import Gallery
    from ...protocol.suite import Suite
    from ...records.record import Record
    from ...tables.published_scores import Published


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
@click.option(
    "--suite",
    metavar="SUITE",
    help="Only records of this suite, a name or a .toml file; default: all found.",
)
@click.option("--images", is_flag=True, help="Pages of images and sites too, from the states beside the records: slow.")
@click.option("--skip-bad", is_flag=True, help="Leave out records that are damaged, and name each on stderr.")
@click.option("--serve", is_flag=True, help="Show the site on this machine, and make it again when records change.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="With --serve.")
@declared.plugin_files
@declared.device
@declared.loudness
def report(
    out: Path,
    results: Path,
    suite: str | None,
    images: bool,
    skip_bad: bool,
    serve: bool,
    port: int,
    plugin_files: tuple[Path, ...],
    device: str,
) -> None:
    """Make a site from the records: a leaderboard, figures, and where each record comes from.

    Open DIR/index.html in a browser; it needs neither a server nor a network. Published scores are taken from
    published.csv beside the folder of the records, if it is there.

    With --images every test image has a page with the pictures of all methods under a slider, their errors and the crop
    where they differ most, and every bit-width a page of sites. Pictures that DIR has already are not made again.

    Needs jinja2, itables and matplotlib: pip install "sr_ptq_bench[report]".

    \b
    srq report -o site
    srq report --serve
    srq report --images --suite sample
    """
    if declared.is_given("port") and not serve:
        raise click.UsageError("--port goes with --serve.")
    for parameter, word in (("plugin_files", "--plugin"), ("device", "--device")):
        if declared.is_given(parameter) and not images:
            raise click.UsageError(f"{word} goes with --images; nothing else runs a network.")
    _check_extra()
    from ...report.site import build, is_site, write
    from ...storage.writable import check_writable
    from ..leaderboards.records import say_left_out, suite_name, suite_records, tell_left_out

    check_writable(out)
    _check_own(out, results)
    command = _command(out, results, suite, images, skip_bad, plugin_files)
    name = suite_name(suite) if suite else None
    galleries = _Galleries(out, results, suite, plugin_files, device) if images else None

    def make() -> bool:
        left_out: dict[str, str] = {}
        records = suite_records(results, name, say_left_out if skip_bad or serve else None, left_out)
        if records:
            pages = partial(build, records, _published(results), command, live=serve, left_out=left_out)
            if galleries and not is_site(out):  # so that pictures that a killed call leaves are known as srq's
                write(pages(), out)
            write(pages(galleries.of(records) if galleries else {}), out)
        tell_left_out(left_out, skip_bad or serve)
        return bool(records)

    if serve:
        _serve(out, results, make, port)
    elif make():
        note(f"wrote {out / 'index.html'}")


def _command(
    out: Path, results: Path, suite: str | None, images: bool, skip_bad: bool, plugin_files: tuple[Path, ...]
) -> str:
    """The command that makes the site again."""
    words = ["srq", "report", *(["--out", str(out)] if declared.is_given("out") else [])]
    words += ["--results", str(results)] if declared.is_given("results") else []
    words += ["--suite", suite] if suite else []
    words += ["--skip-bad"] if skip_bad else []
    words += ["--images", *(word for file in plugin_files for word in ("--plugin", str(file)))] if images else []
    return shlex.join(words)


def _check_own(out: Path, results: Path) -> None:
    """Raise SrqError for a folder in which a site would replace or join files of others."""
    from ...errors import SrqError
    from ...report.site import is_site

    if out.resolve().is_relative_to(results.resolve()):
        raise SrqError(f"{out} is inside the records folder; choose another -o")
    if out.is_dir() and any(out.iterdir()) and not is_site(out):
        raise SrqError(f"{out} has files that are not from `srq report`; choose an empty folder or another -o")


def _check_extra() -> None:
    """Raise SrqError that names all missing libraries, not only the first."""
    from importlib.util import find_spec

    from ...errors import SrqError

    missing = [name for name in ("itables", "jinja2", "matplotlib") if find_spec(name) is None]
    if missing:
        what = ", ".join(missing)
        raise SrqError(f'a report needs {what}; install what is missing with `pip install "sr_ptq_bench[report]"`')


def _serve(out: Path, results: Path, make: Callable[[], object], port: int) -> None:
    from ...report.serve import server, snapshot, watch

    with server(out, port) as address:
        try:
            seen = snapshot(results)  # a record that comes while the first site is made is in the next one
            make()
            note(f"wrote {out / 'index.html'}")
            click.echo(f"{address} shows it; stop with Ctrl-C", err=True)
            watch(results, seen, make, lambda why: click.echo(f"srq: {why}", err=True))
        except KeyboardInterrupt:
            click.echo("srq: stopped", err=True)


def _published(results: Path) -> list[Published]:
    from ...tables.published_scores import FILE, read_published

    path = results.parent / FILE
    return read_published(path) if path.is_file() else []


class _Galleries:
    """Makes the galleries of tables, in one session."""

    def __init__(
        self, out: Path, results: Path, suite: str | None, plugin_files: tuple[Path, ...], device: str
    ) -> None:
        from ..display import Display

        self._out, self._results, self._suite = out, results, suite
        display = Display()
        with display.preparing():
            from ...runs.session import Session

            self._session = Session.open(display, plugin_files, device)

    def of(self, records: Sequence[Record]) -> dict[str, Gallery]:
        """The gallery of every table that has a usable state, by the table's path; records without are named."""
        from ...errors import SrqError
        from ...gallery.gallery import gallery
        from ...tables.comparable import comparable_records
        from ...tables.leaderboard import groups
        from ..leaderboards.records import say_left_out

        found: dict[str, Gallery] = {}
        for path, known in groups(records).items():
            try:
                of = comparable_records(known)
                suite = self._suite_of(of[0])
            except SrqError as error:
                say_left_out(f"images of {path}: {error}")
                continue
            made = gallery(of, self._results / of[0].spec.suite, suite, self._session, self._out / path, say_left_out)
            found |= {path: made} if made else {}
        return found

    def _suite_of(self, record: Record) -> Suite:
        from ...records.suite_name import load_suite_of

        return load_suite_of(record, self._suite if self._suite and self._suite.endswith(".toml") else None)
