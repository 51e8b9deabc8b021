"""`srq verify`: score the stored bounds of a record anew."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import options as shared

if TYPE_CHECKING:
    from ..spec import Suite
    from ..verify import Comparison

DIFFERS = 1


@click.command()
@click.argument("records", metavar="RECORD...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--suite", metavar="SUITE", help="The record's suite where it is not built in: a .toml file.")
@click.option("--test", "tests", multiple=True, metavar="NAME=HR_DIR", help="As given to the run, where it was.")
@shared.plugin_files
@shared.device
def verify(
    records: tuple[Path, ...], suite: str | None, tests: tuple[str, ...], plugin_files: tuple[Path, ...], device: str
) -> None:
    """Say whether the scores of a RECORD come back from the bounds that are stored beside it.

    \b
    srq verify leaderboards/results/sample/minmax-w4a4-x2-*.json

    Network, weights, test images and options must be the record's; nothing is calibrated. Exit status 0: all mean
    scores agree within half of the last printed digit; 1: some do not; 2: they cannot be compared.
    """
    from ..data.library import Library
    from ..environment import choose_device
    from ..errors import SrqError
    from ..home import default_home
    from ..manager import Plugins
    from ..preparation import prepare
    from ..restored import spec_of, suite_of
    from ..spec import Suite
    from ..verify import read_verifiable
    from ..verify import verify as compared
    from .display import Display
    from .run import with_tests

    display, read = Display(), {path: read_verifiable(path) for path in records}
    plugins, library = Plugins(plugin_files), Library(default_home(), display.stage, display.print)
    device, failed = choose_device(device), False
    for path, record in read.items():
        try:
            protocol: Suite = with_tests(Suite.load(suite or suite_of(record)), tests)
            run = prepare(spec_of(record, protocol), plugins, device, library)
            with display.stages() as show:
                comparisons = compared(run, record, path, show)
        except SrqError as error:
            raise SrqError(f"{path}: {error}") from error
        click.echo(f"{path}")
        for comparison in comparisons:
            click.echo(f"  {_line(comparison)}")
        failed |= not all(comparison.holds for comparison in comparisons)
    sys.exit(DIFFERS if failed else 0)


def _line(comparison: Comparison) -> str:
    verdict = "equal" if comparison.difference == 0 else f"differs by {comparison.difference:+.2g}"
    if comparison.difference and comparison.holds:
        verdict += ", less than what is printed"
    numbers = f"recorded {comparison.recorded:.6g}, again {comparison.again:.6g}"
    return f"{comparison.dataset} {comparison.metric.upper()}: {numbers}: {verdict}"
