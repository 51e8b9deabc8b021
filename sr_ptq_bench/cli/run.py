"""`srq run`: measure one method."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import options as shared
from .measuring import check_writable, recorded

if TYPE_CHECKING:
    from ..spec import ScopeName, Suite


LARGEST_SEED = 2**63 - 1  # torch takes no larger one


@click.command()
@click.option(
    "--method",
    "-m",
    required=True,
    metavar="NAME",
    help="A method, or INITIALIZER+CALIBRATOR; see `srq methods`.",
)
@click.option(
    "--bits", "-b", required=True, metavar="BITS", help="Bits of weights and activations: 4, or w4a8; 2 to 8."
)
@click.option("--scale", "-s", required=True, type=int, metavar="SCALE", help="Upscaling factor: 2, 3 or 4.")
@click.option(
    "--scope",
    type=click.Choice(["linear", "all"]),
    help="Quantize Linear layers and matrix products, or convolutions as well; default: the network's own.",
)
@click.option(
    "--suite",
    default="sample",
    metavar="SUITE",
    show_default=True,
    help="A built-in suite, or a .toml file of yours.",
)
@click.option("--model", metavar="NAME", help="Another network of the suite than its first.")
@click.option(
    "--test",
    "tests",
    multiple=True,
    metavar="NAME=HR_DIR",
    help="Score on your own photos instead of the suite's.",
)
@click.option(
    "--tile",
    metavar="N",
    type=click.IntRange(8, 2**16),
    help="Let the networks see images in tiles of NxN LR pixels: memory no longer grows with the image.",
)
@click.option(
    "--tile-overlap",
    default=16,
    show_default=True,
    metavar="N",
    type=click.IntRange(0, 2**16),
    help="LR pixels that a tile sees more on every side.",
)
@shared.method_options("An option of the method, such as dqc.lr=1e-3.")
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0, LARGEST_SEED), help="Seed of all randomness."
)
@click.option(
    "--seeds",
    default=1,
    metavar="N",
    type=click.IntRange(1),
    help="Measure N times, with the seeds SEED to SEED+N-1; a record each, one row of the table.",
)
@shared.plugin_files
@shared.out
@shared.device
@click.option("--force", is_flag=True, help="Measure again even if this machine has done so.")
def run(
    method: str,
    bits: str,
    scale: int,
    scope: ScopeName | None,
    suite: str,
    model: str | None,
    tests: tuple[str, ...],
    tile: int | None,
    tile_overlap: int,
    options: tuple[str, ...],
    seed: int,
    seeds: int,
    plugin_files: tuple[Path, ...],
    out: Path,
    device: str,
    force: bool,
) -> None:
    """Measure one method at one bit-width and scale, and write a record.

    \b
    srq run --method 2dquant --bits 2 --scale 2
    srq run --method percentile --bits w4a8 --scale 4 -o p=1e-4
    srq run --method minmax+dqc --bits 3 --scale 2 --test holiday=~/photos
    srq run --method minmax --bits 4 --scale 2 --scope all
    srq run --method 2dquant --bits 2 --scale 2 --seeds 3
    srq run --method minmax --bits 4 --scale 4 --test large=~/4k --tile 96

    The network is quantized, its bounds are chosen and calibrated, and it is scored beside its full-precision (FP)
    twin and bicubic. A run that this machine has made already is not made again, and one that was interrupted
    continues where it was.
    """
    if seed + seeds - 1 > LARGEST_SEED:
        raise click.BadParameter(f"the last of {seeds} seeds is larger than {LARGEST_SEED}", param_hint="--seeds")

    from ..spec import Bits, RunSpec, Suite, Tiles, parse_options, parse_scale

    protocol = Suite.load(suite)
    chosen = with_tests(protocol.with_model(model or protocol.model), tests)
    spec = RunSpec(
        method=method,
        bits=Bits.parse(bits),
        scale=parse_scale(scale),
        suite=chosen.with_tiles(Tiles(size=tile, overlap=tile_overlap)) if tile else chosen,
        scope=scope,
        seed=seed,
        options=parse_options(options),
    )
    folder = out / "results" / spec.suite.name
    check_writable(folder)

    from ..cache import Cache
    from ..data.library import Library
    from ..environment import choose_device
    from ..home import default_home
    from ..manager import Plugins
    from ..preparation import prepare
    from .display import Display

    plugins, display, home = Plugins(plugin_files), Display(), default_home()
    cache, library = Cache(home, display.print), Library(home, display.stage, display.print)
    device = choose_device(device)
    for each in range(seed, seed + seeds):
        prepared = prepare(spec.model_copy(update={"seed": each}), plugins, device, library)
        display.record(*recorded(prepared, folder, display, cache, force))


def with_tests(suite: Suite, tests: tuple[str, ...]) -> Suite:
    """The suite with the user's own test sets in place of its own, under a name that no table mixes with it."""
    from ..errors import SrqError
    from ..spec import DataSource

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
        sources[name] = DataSource(hr=Path(folder).expanduser())
    return suite.model_copy(update={"name": f"{suite.name}-{'-'.join(sorted(sources))}", "test": sources})
