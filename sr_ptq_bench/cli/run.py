"""`srq run`: measure one method."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..protocol.limits import LARGEST_SEED
from . import options as declared
from .writable import check_writable

if TYPE_CHECKING:
    from ..protocol.suite import Suite
    from ..protocol.types import ScopeName


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
def run(
    method: str,
    bits: str,
    mixed: bool,
    scale: int,
    scope: ScopeName | None,
    suite: str,
    model: str | None,
    tests: tuple[str, ...],
    tile: int | None,
    tile_overlap: int | None,
    options: tuple[str, ...],
    seed: int,
    seeds: int,
    plugin_files: tuple[Path, ...],
    out: Path,
    device: str,
    threads: int | None,
    force: bool,
    replace: bool,
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
    continues. A record of the same run that is there already stays: srq says whether the result equals it.
    """
    if seed + seeds - 1 > LARGEST_SEED:
        raise click.BadParameter(f"the last of {seeds} seeds is larger than {LARGEST_SEED}", param_hint="--seeds")

    if tile_overlap is not None and tile is None:
        raise click.UsageError("--tile-overlap goes with --tile.")

    from ..protocol.bits import Bits
    from ..protocol.run_spec import RunSpec, parse_options
    from ..protocol.suite import Suite, Tiles
    from ..protocol.types import parse_scale

    protocol = Suite.load(suite)
    chosen = with_tests(protocol.with_model(model or protocol.model), tests)
    overlap = {} if tile_overlap is None else {"overlap": tile_overlap}
    spec = RunSpec(
        method=f"mixed+{method}" if mixed else method,
        bits=Bits.parse(bits),
        scale=parse_scale(scale),
        suite=chosen.with_tiles(Tiles(size=tile, **overlap)) if tile else chosen,
        scope=scope,
        seed=seed,
        options=parse_options(options),
    )
    folder = out / "results" / spec.suite.name
    check_writable(folder)

    from .display import Display

    display = Display()
    with display.preparing():
        from ..runs.measure import deliver
        from ..runs.prepare import prepare
        from ..runs.session import Session

        session = Session.open(display, plugin_files, device, threads)
    for each in range(seed, seed + seeds):
        with display.preparing():
            prepared = prepare(spec.model_copy(update={"seed": each}), session)
        display.record(*deliver(prepared, session, folder, force, replace), options)
    click.echo(f"next: {_table_command(spec.suite.name, out)}")


def _table_command(suite: str, out: Path) -> str:
    return shlex.join(["srq", "table", "--suite", suite, *(["--out", str(out)] if out != Path("leaderboards") else [])])


def with_tests(suite: Suite, tests: tuple[str, ...]) -> Suite:
    """The suite with the user's test sets instead of its own, under a name that keeps it out of the suite's tables."""
    from ..errors import SrqError
    from ..protocol.suite import DataSource
    from ..storage.home import expanded

    if not tests:
        return suite
    sources = {}
    for test in tests:
        name, equals, folder = test.partition("=")
        if not (name and equals and folder):
            raise SrqError(f"test set '{test}' is not of the form NAME=HR_DIR")
        if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
            raise SrqError(f"no name for a test set: '{name}'; expected letters, digits, '.', '_' and '-'")
        if name in sources:
            raise SrqError(f"test set '{name}' is given twice; give each a name of its own")
        sources[name] = DataSource(hr=expanded(folder))
    return suite.model_copy(update={"name": f"{suite.name}-{'-'.join(sorted(sources))}", "test": sources})
