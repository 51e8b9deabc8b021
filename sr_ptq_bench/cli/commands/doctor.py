"""`srq doctor`: what is wrong with this installation or machine, and what to do."""

from __future__ import annotations

import sys

import click

from .. import options as declared

UNFIT = 1
SIGNS = {"ok": "ok  ", "note": "note", "bad": "BAD "}


@click.command()
@declared.as_json
@click.option("--quiet", "-q", is_flag=True, help="Only what is not ok.")
def doctor(as_json: bool, quiet: bool) -> None:
    """Look at versions, devices, threads, cache, disk and known trouble; say what to do.

    \b
    srq doctor
    srq doctor --json

    Exit status 0: srq can run, though there may be notes; 1: something is bad, and srq or a part of it does not work.
    """
    if as_json and quiet:
        raise click.UsageError("--json has all findings; leave out --quiet.")
    import json

    from ...errors import SrqError, printable

    if not as_json and sys.stdout.isatty():
        click.echo("Looking ...", err=True)
    try:
        from ...runs.health import examine
    except ImportError as error:  # without torch nothing else can be asked
        raise SrqError(f"{error}; install srq again: pip install --force-reinstall .") from error

    findings = []
    for finding in examine():
        findings.append(finding)
        if as_json or (quiet and finding.status == "ok"):
            continue
        click.echo(f"{SIGNS[finding.status]}  {finding.what}: {printable(finding.found)}")
        if finding.remedy:
            click.echo(f"      {printable(finding.remedy)}")
    if as_json:
        click.echo(json.dumps([finding.as_table() for finding in findings], indent=1))
    sys.exit(UNFIT if any(finding.status == "bad" for finding in findings) else 0)
