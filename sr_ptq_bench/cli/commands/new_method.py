"""`srq new-method`: the package of a new method."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from .. import options as declared

KINDS = ("bounds", "weights", "quantizer")


@click.command("new-method")
@click.argument("name")
@click.option(
    "--kind", type=click.Choice(KINDS), default="bounds", show_default=True, help="What the method chooses or changes."
)
@click.option(
    "--out", default=Path(), type=declared.FOLDER, metavar="DIR", help="Where the folder is made; default: here."
)
def new_method(name: str, kind: str, out: Path) -> None:
    """Write a package for a new method NAME: the method in one file, its test, pyproject.toml and README.

    \b
    srq new-method mine --kind quantizer
    pip install ./mine && srq run --method mine --bits 2 --scale 4
    pytest mine
    """
    from ...kit.new_method import write_package

    folder = write_package(name, kind, out)
    place = shlex.quote(str(folder) if folder.is_absolute() else f"./{folder}")
    click.echo(f"{folder}: next: pip install {place} && srq run --method {name} --bits 2 --scale 4")
