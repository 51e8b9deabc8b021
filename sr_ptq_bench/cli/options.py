"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

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
table_format = click.option(
    "--format",
    "as_format",
    type=click.Choice(["markdown", "csv", "latex", "json"]),
    default="markdown",
    show_default=True,
    help="How the table is printed.",
)
