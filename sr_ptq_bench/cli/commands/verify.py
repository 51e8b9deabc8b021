"""`srq verify`: score the state of a record again."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...errors import printable
from .. import options as declared

if TYPE_CHECKING:
    from ...records.compare import Comparison
    from ...runs.session import Session

DIFFERS = 1
NOT_COMPARED = 2


@click.command()
@click.argument("records", metavar="RECORD|FOLDER...", nargs=-1, required=True, type=declared.FILE)
@click.option("--suite", metavar="SUITE", help="The suite of the record, if it is not built in: a .toml file.")
@declared.test
@click.option("--since", metavar="COMMIT", help="Only records that git says are new or changed since COMMIT.")
@click.option("--stamp", is_flag=True, help="Mark each RECORD whose scores agree as verified with the installed code.")
@declared.plugin_files
@declared.device
@declared.loudness
@declared.as_json
def verify(
    records: tuple[Path, ...],
    suite: str | None,
    tests: tuple[str, ...],
    since: str | None,
    stamp: bool,
    plugin_files: tuple[Path, ...],
    device: str,
    as_json: bool,
) -> None:
    """Score the state of a RECORD again, and compare with the scores in the record.

    \b
    srq verify leaderboards/results/sample/minmax-w4a4-x2-*.json
    srq verify leaderboards/results/sample
    srq verify leaderboards/results --since origin/main

    A FOLDER means all records in it and in its direct subfolders.

    The state is the quantized network; nothing is calibrated, and the plugins of the method may be missing. Network,
    weights and test images must be those of the record. Exit status 0: all mean scores agree within half of the last
    printed digit, or, for records of another processor or torch, within 10 % of the loss against FP; 1: some do not;
    2: some records cannot be compared. Every bad record is named on stderr. A record with a stamp counts as a result of
    the code that verified it: `srq sweep` does not measure it again.
    """
    from ...errors import SrqError
    from ..display import Display
    from ..last_resort import report_failure

    paths = _expanded(records)
    if since:
        paths = _changed(paths, records, since)
        if not paths:
            click.echo(f"no record is new or changed since {since}", err=as_json)
            if as_json:
                click.echo("[]")
            return
    display, status, found = Display(), 0, []
    with display.preparing():
        from ...runs.session import Session

        session = Session.open(display, plugin_files, device)
    for path in paths:
        try:
            holds, comparisons = _compare(path, suite, tests, stamp, session)
        except SrqError as error:
            status = NOT_COMPARED
            found.append({"path": str(path), "holds": False, "error": str(error)})
            report_failure(error)
            continue
        found.append({"path": str(path), "holds": holds, "scores": [_table(each) for each in comparisons]})
        if not as_json:
            click.echo("\n  ".join([str(path), *map(_line, comparisons)]))
        if not holds:
            status = max(status, DIFFERS)
            click.echo(printable(f"srq: {path}: the state does not give the recorded scores"), err=True)
    if as_json:
        click.echo(json.dumps(found, indent=1))
    sys.exit(status)


def _compare(
    path: Path, suite: str | None, tests: tuple[str, ...], stamp: bool, session: Session
) -> tuple[bool, list[Comparison]]:
    """Score one record again: whether it holds, and each comparison; raises SrqError that names the record."""
    from ...errors import SrqError, prefix_error
    from ...protocol.request import with_tests
    from ...records.files import read_result, write_record
    from ...records.suite_name import load_suite_of, suite_of
    from ...runs.restore import prepare_recorded
    from ...runs.verify import stamped
    from ...runs.verify import verify as compare

    result = read_result(path)
    with prefix_error(str(path)):
        protocol = with_tests(load_suite_of(result.record, suite), tests)
        for name in sorted(result.record.scores.keys() - protocol.test.keys()):
            if protocol.name == suite_of(result.record):
                raise SrqError(f"the record has the test set '{name}'; give --test {name}=HR_DIR, as to the run")
        run = prepare_recorded(result.record, protocol, session)
        comparisons = compare(run, result, session)
    holds = all(comparison.holds for comparison in comparisons)
    if stamp and holds:
        write_record(stamped(run, result.record), path.parent)
    return holds, comparisons


def _changed(paths: list[Path], named: tuple[Path, ...], since: str) -> list[Path]:
    """Those of the records that changed since a commit."""
    from ...records.changed import changed_records

    folders = {path if path.is_dir() else path.parent for path in named}
    changed = set().union(*(changed_records(folder, since) for folder in folders))
    return [path for path in paths if path.resolve() in changed]


def _expanded(records: tuple[Path, ...]) -> list[Path]:
    """The records that are named, and those of folders with what is in them; raises SrqError for a folder without."""
    from ...errors import SrqError
    from ...records.files import record_files
    from ...storage.files import entries

    found = []
    for path in records:
        inside = [each for folder in (path, *filter(Path.is_dir, entries(path))) for each in record_files(folder)]
        if path.is_dir() and not inside:
            raise SrqError(f"{path}: no records in this folder or its direct subfolders")
        found += inside if path.is_dir() else [path]
    return found


def _table(comparison: Comparison) -> dict[str, object]:
    """For programs; JSON has neither infinity nor NaN, so numbers that are not finite are texts."""
    numbers = {"recorded": comparison.recorded, "again": comparison.again}
    spelt = {name: value if math.isfinite(value) else str(value) for name, value in numbers.items()}
    return {"test_set": comparison.dataset, "metric": comparison.metric, **spelt, "holds": comparison.holds}


def _line(comparison: Comparison) -> str:
    verdict = "equal" if comparison.difference == 0 else f"differs by {comparison.difference:+.2g}"
    if comparison.difference and comparison.prints_alike:
        verdict += ", less than what is printed"
    elif comparison.difference and comparison.holds:
        verdict += ", as on another processor"
    numbers = f"recorded {comparison.recorded:.6g}, again {comparison.again:.6g}"
    return printable(f"{comparison.dataset} {comparison.metric.upper()}: {numbers}: {verdict}")
