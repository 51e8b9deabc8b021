"""`srq ablate`: vary one thing of 2DQuant, as the paper's Table 4 does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import options as shared
from .measuring import check_writable, recorded
from .run import LARGEST_SEED

if TYPE_CHECKING:
    from ..ablation import Name
    from ..formats import Format


@click.command()
@click.argument("what", metavar="lr|batch|stages", type=click.Choice(["lr", "batch", "stages"]))
@click.option("--values", metavar="V,V,...", help="Learning rates or batch sizes; default: the paper's four.")
@click.option("--bits", "-b", default="2", show_default=True, metavar="BITS", help="Bits, as of `srq run`.")
@click.option("--scale", "-s", default=2, show_default=True, type=int, metavar="SCALE", help="2, 3 or 4.")
@click.option("--suite", default="sample", metavar="SUITE", show_default=True, help="A suite, as of `srq run`.")
@click.option("--model", metavar="NAME", help="Another network of the suite than its first.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, LARGEST_SEED), help="Seed of all cells.")
@shared.plugin_files
@shared.out
@shared.device
@shared.table_format()
def ablate(
    what: Name,
    values: str | None,
    bits: str,
    scale: int,
    suite: str,
    model: str | None,
    seed: int,
    plugin_files: tuple[Path, ...],
    out: Path,
    device: str,
    as_format: Format,
) -> None:
    """Vary one thing of 2DQuant and print a table like the paper's Table 4.

    \b
    lr      DQC's learning rate
    batch   DQC's batch size
    stages  neither DOBI nor DQC, one of them, or both

    Each cell is a run that leaves its record, as `srq run` does. What this machine has measured already is not
    measured again, so that an ablation that was stopped goes on where it was.

    \b
    srq ablate stages --bits 2 --scale 4
    srq ablate lr --values 3e-2,1e-2,3e-3
    """
    from ..spec import Bits, RunSpec, Suite, parse_scale

    protocol = Suite.load(suite)
    shown = RunSpec(
        method="2dquant",
        bits=Bits.parse(bits),
        scale=parse_scale(scale),
        suite=protocol.with_model(model or protocol.model),
        seed=seed,
    )
    folder = out / "results" / shown.suite.name
    check_writable(folder)

    from ..ablation import page, settings
    from ..cache import Cache
    from ..choice import choose_method
    from ..data.library import Library
    from ..environment import choose_device
    from ..formats import render
    from ..home import default_home
    from ..manager import Plugins
    from ..preparation import prepare
    from .display import Display

    specs = {
        cell.label: shown.model_copy(update={"method": cell.method, "options": dict(cell.options)})
        for cell in settings(what, values)
    }
    plugins, display, home = Plugins(plugin_files), Display(), default_home()
    for spec in specs.values():  # a value that is impossible is refused before the first cell is measured
        choose_method(plugins, spec.method, spec.options, spec.suite.options)
    cache, library = Cache(home), Library(home, display.stage, display.print)
    device = choose_device(device)
    records = {}
    for number, (label, spec) in enumerate(specs.items(), 1):
        display.print(f"{what} {label}: {number} of {len(specs)}")
        record, _ = recorded(prepare(spec, plugins, device, library), folder, display, cache)
        records[label] = record
    click.echo(render([page(what, records)], as_format), nl=False)
