"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

plugin_files = click.option(
    "--plugin",
    "plugin_files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE.py",
    help="A plugin that is not installed.",
)
out = click.option(
    "--out",
    default=Path("leaderboards"),
    show_default=True,
    type=click.Path(path_type=Path),
    help="Records go to OUT/results/SUITE.",
)
device = click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")


def method_options(told: str) -> Callable[[F], F]:
    """Options of methods, `-o KEY=VALUE`; `told` is the help."""
    return click.option("--option", "-o", "options", multiple=True, metavar="KEY=VALUE", help=told)


def table_format(told: str = "How the table is printed.") -> Callable[[F], F]:
    """The kinds of text that a table can be; `told` is the help."""
    kinds = click.Choice(["markdown", "csv", "latex", "json"])
    return click.option("--format", "as_format", type=kinds, default="markdown", show_default=True, help=told)
