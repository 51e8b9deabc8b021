"""Every option of the command line, each declared once with its limits."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ..protocol.limits import LARGEST_SEED
from . import complete
from .loudness import loudness_options

Command = Callable[..., Any]
Decorator = Callable[[Command], Command]


class UserPath(click.Path):
    """A path as a pathlib.Path, `~` at its start replaced: no shell does that in `--out=~/x`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As click does."""
        return super().convert(os.path.expanduser(value), param, ctx)  # noqa: PTH111


class FiniteRange(click.FloatRange):
    """A number in a range, neither NaN, which every range has, nor infinite."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As click does."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number", param, ctx)
        return number


FOLDER = UserPath(path_type=Path, file_okay=False)
FILE = UserPath(path_type=Path)


def together(*options: Decorator) -> Decorator:
    """Several options as one decorator, in this order in the help."""
    return lambda command: reduce(lambda of, option: option(of), reversed(options), command)


def is_given(name: str) -> bool:
    """Whether the user of the present command gave this option, even as its default."""
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


# What is measured

method = click.option(
    "--method",
    "-m",
    required=True,
    metavar="NAME",
    shell_complete=complete.methods,
    help="A method, or INITIALIZER+CALIBRATOR; see `srq methods`.",
)
methods = click.option(
    "--method",
    "-m",
    "methods",
    required=True,
    multiple=True,
    metavar="NAME",
    shell_complete=complete.methods,
    help="A method; give one or more.",
)
some_methods = click.option(
    "--method",
    "-m",
    "methods",
    multiple=True,
    metavar="NAME",
    shell_complete=complete.methods,
    help="Only these methods; default: all found.",
)
bits = click.option(
    "--bits", "-b", required=True, metavar="BITS", help="Bits of weights and activations: 4, or w4a8; 2 to 8."
)
mixed = click.option(
    "--mixed",
    is_flag=True,
    help="Choose each site's bits by its sensitivity, BITS on average; same as --method mixed+NAME.",
)
scale = click.option("--scale", "-s", required=True, type=int, metavar="SCALE", help="Upscaling factor: 2, 3 or 4.")
scope = click.option(
    "--scope",
    type=click.Choice(["linear", "all"]),
    help="Quantize Linear layers and matrix products, or convolutions too; default: the choice of the network.",
)
suite = click.option(
    "--suite",
    default="sample",
    metavar="SUITE",
    show_default=True,
    shell_complete=complete.suites,
    help="A built-in suite, or your .toml file.",
)
model = click.option(
    "--model", metavar="NAME", shell_complete=complete.models, help="Network; default: the suite's first."
)
seed = click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0, LARGEST_SEED), help="Seed of all randomness."
)
force = click.option("--force", is_flag=True, help="Measure again even if there is a result.")
replace = click.option(
    "--replace",
    is_flag=True,
    help="Overwrite an existing record of the same run; default: keep it and compare.",
)


def option(help_text: str) -> Decorator:
    """Options of methods, `-o KEY=VALUE`."""
    return click.option(
        "--option", "-o", "options", multiple=True, metavar="KEY=VALUE", shell_complete=complete.options, help=help_text
    )


threads = click.option("--threads", type=click.IntRange(1, 1024), metavar="N", help="CPU threads; default: all.")

# On what

test = click.option(
    "--test", "tests", multiple=True, metavar="NAME=HR_DIR", help="Score on your own photos instead of the suite's."
)
tile = click.option(
    "--tile",
    metavar="N",
    type=click.IntRange(8, 2**16),
    help="Cut images into tiles of NxN LR pixels: memory no longer grows with the image.",
)
tile_overlap = click.option(
    "--tile-overlap",
    metavar="N",
    type=click.IntRange(0, 2**16),
    help="With --tile: LR pixels that a tile overlaps its neighbours on every side; default: 16.",
)

# Where

plugin_files = click.option(
    "--plugin", "plugin_files", multiple=True, type=FILE, metavar="FILE.py", help="A plugin that is not installed."
)
device = click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
out = click.option(
    "--out",
    default=Path("leaderboards"),
    show_default=True,
    type=FILE,
    help="Records are written to OUT/results/SUITE.",
)
results = click.option(
    "--results",
    default=Path("leaderboards/results"),
    show_default=True,
    type=FOLDER,
    metavar="DIR",
    help="Records, in DIR/SUITE/*.json.",
)
picture = click.option("--out", required=True, type=FILE, metavar="FILE", help="The picture: .png, .pdf or .svg.")


def table_format(help_text: str = "Format of the table.") -> Decorator:
    """The kinds of text that a table can be."""
    kinds = click.Choice(["markdown", "csv", "latex", "json"])
    return click.option("--format", "as_format", type=kinds, default="markdown", show_default=True, help=help_text)


loudness = loudness_options
as_json = click.option("--json", "as_json", is_flag=True, help="For programs: the result as JSON on stdout.")

selection = together(
    bits, scale, suite, model, scope, seed,
    option("An option, for the methods that have it, such as dobi.preset=official."),
    plugin_files, results, device, loudness,
)  # fmt: skip
"""Which runs `srq plot` and `srq analyze` look at, apart from their methods."""
