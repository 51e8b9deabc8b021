"""`srq ablate`: vary one thing of 2DQuant, as the paper's Table 4 does, or leave out the parts of a method."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ...storage.writable import check_writable
from .. import options as declared

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ...protocol.run_spec import RunSpec
    from ...protocol.types import OptionValue
    from ...runs.session import Session
    from ...tables.ablation import Name, Setting
    from ...tables.formats import Format


@click.command()
@click.argument("what", metavar="lr|batch|stages|parts", type=click.Choice(["lr", "batch", "stages", "parts"]))
@click.option("--values", metavar="V,V,...", help="Learning rates or batch sizes; default: the paper's four.")
@click.option("--method", "-m", metavar="NAME", help="With `parts`: the method to take apart; default: cotrain.")
@click.option("--bits", "-b", default="2", show_default=True, metavar="BITS", help="Bits, as for `srq run`.")
@click.option("--scale", "-s", default=2, show_default=True, type=int, metavar="SCALE", help="2, 3 or 4.")
@declared.suite
@declared.model
@declared.option("An option of those methods that have it, such as dqc.iterations=500.")
@declared.seed
@declared.plugin_files
@declared.out
@declared.device
@declared.force
@declared.replace
@declared.loudness
@declared.table_format()
def ablate(
    what: Name,
    values: str | None,
    method: str | None,
    bits: str,
    scale: int,
    suite: str,
    model: str | None,
    options: tuple[str, ...],
    seed: int,
    plugin_files: tuple[Path, ...],
    out: Path,
    device: str,
    force: bool,
    replace: bool,
    as_format: Format,
) -> None:
    """Vary one thing of 2DQuant and print a table like the paper's Table 4, or leave out each part of a method.

    \b
    lr      DQC's learning rate
    batch   DQC's batch size
    stages  neither DOBI nor DQC, one of them, or both
    parts   each part that the plugins of --method name

    Each cell is a run that leaves its record, as `srq run` does. Results already on this machine are reused, so an
    ablation that was interrupted continues.

    \b
    srq ablate stages --bits 2 --scale 4
    srq ablate lr --values 3e-2,1e-2,3e-3 -o dqc.iterations=500
    srq ablate parts --scale 4
    """
    from ...protocol.run_spec import parse_options

    if method and what != "parts":
        raise click.UsageError(f"--method goes with parts; {what} is about 2DQuant.")
    if values and what == "parts":
        raise click.UsageError("--values goes with lr and batch; parts have none.")
    method = method or "cotrain"
    shown = _spec(method if what == "parts" else "2dquant", bits, scale, suite, model, seed)
    given = parse_options(options)
    folder = out / "results" / shown.suite.name
    check_writable(folder)

    from ..display import Display

    display = Display()
    with display.preparing():
        from ...runs.measure import deliver
        from ...runs.prepare import prepare
        from ...runs.session import Session
        from ...tables.ablation import page
        from ...tables.formats import render

        session = Session.open(display, plugin_files, device)
        specs = _varied(shown, _cells(what, values, method, session), given, session)
    records = {}
    for number, (label, spec) in enumerate(specs.items(), 1):
        display.say(f"{what} {label}: {number} of {len(specs)}")
        session = Session.open(display, plugin_files, device)  # loads a plugin's file again: no cell sees another's
        records[label], _ = deliver(prepare(spec, session), session, folder, force, replace)
    click.echo(render([page(what, records)], as_format), nl=False)


def _spec(method: str, bits: str, scale: int, suite: str, model: str | None, seed: int) -> RunSpec:
    from ...protocol.bits import Bits
    from ...protocol.run_spec import RunSpec
    from ...protocol.suite import Suite
    from ...protocol.types import parse_scale

    protocol = Suite.load(suite)
    return RunSpec(
        method=method,
        bits=Bits.parse(bits),
        scale=parse_scale(scale),
        suite=protocol.with_model(model or protocol.model),
        seed=seed,
    )


def _cells(what: Name, values: str | None, method: str, session: Session) -> list[Setting]:
    from ...hooks.resolve import resolve_method
    from ...tables.ablation import settings, without_parts

    if what == "parts":
        return without_parts(method, resolve_method(session.plugins, method, {}).parts())
    return settings(what, values)


def _varied(
    shown: RunSpec, cells: Sequence[Setting], given: Mapping[str, OptionValue], session: Session
) -> dict[str, RunSpec]:
    """The run of each cell by its label; raises SrqError for an impossible value, before any cell is measured."""
    from ...hooks.resolve import options_by_method, over_defaults, resolve_method

    owned = options_by_method(session.plugins, (cell.method for cell in cells), given)
    specs, used = {}, set()
    for cell in cells:
        options = over_defaults(session.plugins, cell.method, cell.options, owned[cell.method])
        specs[cell.label] = shown.model_copy(update={"method": cell.method, "options": options})
        used |= options.keys() - cell.options.keys()
    for key in given:
        if key not in used:
            raise click.UsageError(f"-o {key} is what this ablation varies; leave it out.")
    for spec in specs.values():
        resolve_method(session.plugins, spec.method, spec.options, spec.suite.options)
    return specs
