"""`srq table`: the leaderboards, made from the records."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import SrqError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..schema import Record

OUT = Path("leaderboards")
_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.option("--suite", metavar="NAME", help="Only the tables of this suite; default: all suites found.")
@click.option("--results", type=_FOLDER, metavar="DIR", help="Records, in DIR/SUITE/*.json; default: OUT/results.")
@click.option(
    "--out",
    type=_FOLDER,
    metavar="OUT",
    default=OUT,
    show_default=True,
    help="Tables go to OUT/SUITE/MODEL-xSCALE.md.",
)
@click.option("--check", is_flag=True, help="Write nothing; fail if a table is not what the records say.")
def table(suite: str | None, results: Path | None, out: Path, check: bool) -> None:
    """Turn records into Markdown tables, and print them.

    Every `srq run` leaves a record, a JSON file with the scores of one method. This command gathers the
    records of a suite into one table per network and scale, with the full-precision (FP) network and plain
    interpolation beside them. Tables are not edited by hand: add a record and make them again.

    \b
    srq run --method minmax --bits 4 --scale 2
    srq table --suite sample
    """
    from ..files import write_atomically
    from ..leaderboard import tables

    records = _records(results or out / "results", suite)
    texts = {out / path: text for path, text in tables(records).items()}
    if check:
        _check(texts, out, suite, _command(suite, results, out))
        click.echo(f"{len(texts)} table{'s' * (len(texts) > 1)} up to date")
        return
    for path, text in texts.items():
        write_atomically(path, text)
        click.echo(f"{path}\n\n{text}")


def _records(results: Path, suite: str | None) -> list[Record]:
    """The records of one suite or of all; raises SrqError for none, or for one in the wrong folder."""
    from ..records import read_records, record_name

    folders = [results / suite] if suite else sorted(path for path in results.glob("*") if path.is_dir())
    records = []
    for folder in folders:
        for record in read_records(folder):
            if record.spec.suite != folder.name:
                path = folder / record_name(record.spec, record.hashes)
                raise SrqError(f"record {path} is of suite '{record.spec.suite}'; move it into that folder")
            records.append(record)
    if not records:
        ask = f"srq run --method minmax --bits 4 --scale 2 --suite {suite or 'sample'}"
        raise SrqError(f"no records in {results / suite if suite else results}; make one: `{ask}`")
    return records


def _command(suite: str | None, results: Path | None, out: Path) -> str:
    """The command that renews the tables that were checked."""
    words = ["srq", "table"]
    words += ["--suite", suite] if suite else []
    words += ["--results", str(results)] if results else []
    words += ["--out", str(out)] if out != OUT else []
    return shlex.join(words)


def _check(texts: Mapping[Path, str], out: Path, suite: str | None, renew: str) -> None:
    """Raise SrqError naming every file that is not as the records say."""
    from ..leaderboard import MARK

    found = {path: _content(path) for path in sorted(out.glob("*/*.md")) if suite in (None, path.parent.name)}
    missing = [f"{path} is missing" for path in texts if path not in found]
    stale = [f"{path} is stale" for path, text in found.items() if texts.get(path, text) != text]
    if missing or stale:
        raise SrqError(f"{', '.join(missing + stale)}; renew with `{renew}`")
    superfluous = [str(path) for path, text in found.items() if path not in texts and text.startswith(MARK)]
    if superfluous:
        raise SrqError(f"{', '.join(superfluous)}: no records for it any more; remove it")


def _content(path: Path) -> str:
    """The exact text of a table; one that is no UTF-8 differs from every table."""
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError as error:
        raise SrqError(f"cannot read {path}: {error.strerror or error}") from error
