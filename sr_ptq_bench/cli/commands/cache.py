"""`srq cache`: what is kept under SRQ_HOME, and room again."""

from __future__ import annotations

import click

from .. import options as declared


@click.group(invoke_without_command=True)
@declared.as_json
@click.pass_context
def cache(context: click.Context, as_json: bool) -> None:
    """Show what srq keeps in SRQ_HOME (default: the platform's cache folder).

    \b
    srq cache
    srq cache prune --days 30
    """
    if context.invoked_subcommand:
        return
    import json

    from ...cache.kept import KINDS, size_of
    from ...storage.home import default_home

    home = default_home()
    found = {kind.name: kind.entries(home) for kind in KINDS}
    sizes = {name: sum(map(size_of, entries)) for name, entries in found.items()}
    if as_json:
        kinds = {name: {"entries": len(found[name]), "bytes": size} for name, size in sizes.items()}
        click.echo(json.dumps({"home": str(home), "kinds": kinds}, indent=1))
        return
    click.echo(home)
    for kind in KINDS:
        prunes = "  `srq cache prune` removes them" * bool(kind.again and found[kind.name])
        click.echo(f"{kind.name:<23} {len(found[kind.name]):>6} {_mib(sizes[kind.name]):>12}{prunes}")
    click.echo(f"{'all':<23} {'':>6} {_mib(sum(sizes.values())):>12}")


@cache.command()
@click.option(
    "--days",
    type=declared.FiniteRange(0),
    default=0,
    show_default=True,
    metavar="DAYS",
    help="Only entries unchanged for at least DAYS days.",
)
@click.option("--results", is_flag=True, help="Also the results of runs: they are then measured again.")
@click.option("--dry-run", is_flag=True, help="Only say how much would be removed.")
@declared.as_json
@click.pass_context
def prune(context: click.Context, days: float, results: bool, dry_run: bool, as_json: bool) -> None:
    """Remove what can be computed again: scores of references, distributions, costs, FP outputs, states, logs.

    Results of runs, downloads and image sets stay. Do not prune while runs are going on: they then compute again.
    """
    import json

    from ...cache.kept import prunable, remove, size_of
    from ...errors import SrqError
    from ...storage.home import default_home

    entries, freed = list(prunable(default_home(), days, results)), 0
    for entry in entries:
        freed += size_of(entry)
        try:
            if not dry_run:
                remove(entry)
        except OSError as error:
            raise SrqError(f"cannot remove {entry}: {error.strerror or error}") from error
    if as_json or (context.parent and context.parent.params["as_json"]):
        click.echo(json.dumps({"entries": len(entries), "bytes": freed, "removed": not dry_run}))
    else:
        click.echo(f"{'would remove' if dry_run else 'removed'} {len(entries)} entries, {_mib(freed)}")


def _mib(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"
