"""`srq run`: measure one method."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...protocol.limits import LARGEST_SEED
from ...storage.writable import check_writable
from .. import options as declared

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...protocol.run_spec import RunSpec
    from ...protocol.suite import Suite
    from ...records.record import Record
    from ...runs.session import Session
    from ..display import Display


@click.command()
@declared.method
@declared.bits
@declared.mixed
@declared.scale
@declared.scope
@declared.suite
@declared.model
@declared.test
@declared.tile
@declared.tile_overlap
@declared.option("An option of the method, such as dqc.lr=1e-3.")
@declared.seed
@click.option(
    "--seeds",
    default=1,
    metavar="N",
    type=click.IntRange(1),
    help="Measure N times, with the seeds SEED to SEED+N-1; a record each, one row of the table.",
)
@declared.plugin_files
@declared.out
@declared.device
@declared.threads
@declared.force
@declared.replace
@declared.loudness
@declared.as_json
def run(
    options: tuple[str, ...],
    seed: int,
    seeds: int,
    plugin_files: tuple[Path, ...],
    out: Path,
    device: str,
    threads: int | None,
    force: bool,
    replace: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    """Measure one method at one bit-width and scale, and write a record.

    \b
    srq run --method 2dquant --bits 2 --scale 2
    srq run --method percentile --bits w4a8 --scale 4 -o p=1e-4
    srq run --method dobi --bits 3 --mixed --scale 2
    srq run --method minmax+dqc --bits 3 --scale 2 --test holiday=~/photos
    srq run --method minmax --bits 4 --scale 2 --scope all
    srq run --method 2dquant --bits 2 --scale 2 --seeds 3
    srq run --method minmax --bits 4 --scale 4 --test large=~/4k --tile 96

    The method quantizes the network, chooses its bounds and calibrates them. The quantized network is scored beside the
    full-precision (FP) network and bicubic. Results already on this machine are reused; a run that was interrupted
    continues. An existing record of this run is kept; srq says whether the new result equals it.
    """
    if seed + seeds - 1 > LARGEST_SEED:
        raise click.BadParameter(f"the last of {seeds} seeds is larger than {LARGEST_SEED}", param_hint="--seeds")

    if asked["tile_overlap"] is not None and asked["tile"] is None:
        raise click.UsageError("--tile-overlap goes with --tile.")

    from ...protocol.request import requested
    from ...protocol.run_spec import parse_options

    spec = requested(**asked, options=parse_options(options), seed=seed)
    folder = out / "results" / spec.suite.name
    check_writable(folder)

    from ..display import Display

    display = Display()
    found = {}
    for each in range(seed, seed + seeds):
        with display.preparing():
            from ...runs.session import Session

            session = Session.open(display, plugin_files, device, threads)  # loads a plugin's file again
        record, path = _measured(spec.model_copy(update={"seed": each}), session, folder, force, replace, display)
        found[str(path)] = record.model_dump(mode="json")
        if not as_json:
            display.record(record, path, _options_in_words(options, spec.suite, record))
    if as_json:
        click.echo(json.dumps([{"path": path, "record": record} for path, record in found.items()], indent=1))
    elif not display.quiet:
        click.echo(f"next: {_table_command(spec.suite.name, out)}")


def _measured(
    spec: RunSpec, session: Session, folder: Path, force: bool, replace: bool, display: Display
) -> tuple[Record, Path]:
    with display.preparing():
        from ...runs.measure import deliver
        from ...runs.prepare import prepare

        prepared = prepare(spec, session)
    return deliver(prepared, session, folder, force, replace)


def _options_in_words(given: Sequence[str], suite: Suite, record: Record) -> str:
    """The options that the user gave, and those of the suite that are left to the parts of the method."""
    names = {pair.partition("=")[0].strip() for pair in given}
    keys = {key: key.partition(".") for key in suite.options}
    of_suite = [key for key, (part, _, name) in keys.items() if part in record.spec.parts and not names & {key, name}]
    by_suite = ", ".join(f"{key}={suite.options[key]}" for key in of_suite)
    words = [", ".join(given), f"of the suite: {by_suite}" if by_suite else ""]
    return "; ".join(filter(None, words)) or "defaults"


def _table_command(suite: str, out: Path) -> str:
    return shlex.join(["srq", "table", "--suite", suite, *(["--out", str(out)] if out != Path("leaderboards") else [])])
