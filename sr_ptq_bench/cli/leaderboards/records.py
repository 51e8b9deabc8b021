"""The records of suites, and the word about those that are left out."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from ...errors import SrqError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ...progress import Say
    from ...records.record import Record


def say_left_out(why: str) -> None:
    """Name a record that is left out, and why."""
    click.echo(f"srq: left out: {why}", err=True)


def suite_name(suite: str) -> str:
    """The name of a suite that is given by its name or as a file."""
    from ...protocol.suite import Suite

    return Suite.load(suite).name if suite.endswith(".toml") else suite


def suite_records(results: Path, suite: str | None, skip: Say | None, left_out: dict[str, str]) -> list[Record]:
    """The records of one suite or of all; raises SrqError if there are none.

    A suite with a damaged record, or with one of another suite, is left out, and `left_out` says why. With `skip`
    only the damaged records are left out and reported to it.
    """
    from ...storage.files import entries

    folders = [results / suite] if suite else [path for path in entries(results) if path.is_dir()]
    records: list[Record] = []
    for folder in folders:
        try:
            records += _records_of(folder, skip)
        except SrqError as error:
            left_out[folder.name] = str(error)
    if not records and not left_out:
        raise SrqError(f"no records in {results / suite if suite else results}; {how_to_make(suite or 'sample')}")
    return records


def how_to_make(suite: str, scale: int = 2) -> str:
    """The command for a record of a suite, which is known by its name only if it is built in."""
    from ...protocol.suite import suite_names

    known = suite if suite.endswith(".toml") or suite in suite_names() else "FILE.toml"
    return f"make one: `srq run --method minmax --bits 4 --scale {scale} --suite {shlex.quote(known)}`"


def _records_of(folder: Path, skip: Say | None) -> list[Record]:
    from ...records.files import name_of, read_records

    records = read_records(folder, skip)
    for record in records:
        if record.spec.suite != folder.name:
            path = folder / name_of(record)
            raise SrqError(f"record {path} is of suite '{record.spec.suite}'; move it into that folder")
    return records


def tell_left_out(left_out: Mapping[str, str], skip_bad: bool) -> None:
    """Say which tables were left out and why: as an error, or as a line each with --skip-bad."""
    if not skip_bad and left_out:
        raise SrqError(f"left out: {'; '.join(left_out.values())}")
    for why in left_out.values():
        say_left_out(why)
