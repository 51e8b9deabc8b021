"""The cells of a sweep, from its file or its options."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ....sweep.grid import Cell

GRID = ("suite", "methods", "bits", "scales", "models", "scope", "seed", "seeds", "options")


def cells_of(
    file: Path | None, grid: dict[str, Any], plugin_files: tuple[Path, ...]
) -> tuple[list[Cell], tuple[Path, ...]]:
    """The cells of the file or of the options, and the plugin files as absolute paths."""
    from ....sweep.grid import SweepFile, unfold

    plugins = tuple(path.absolute() for path in plugin_files)
    if file is None:
        return _of_options(grid), plugins
    given = [key for key in GRID if grid[key] not in (None, ())]
    if given:
        word = given[0].replace("options", "option")
        raise click.UsageError(f"--{word} cannot be combined with {file}; set it in the file, or leave the file out.")
    sweep_file = SweepFile.load(file)
    return unfold(sweep_file.grids()), (*sweep_file.plugins, *plugins)


def _of_options(grid: dict[str, Any]) -> list[Cell]:
    from ....protocol.run_spec import parse_options
    from ....sweep.grid import GridFields, unfold

    for key in ("methods", "bits", "scales"):
        if not grid[key]:
            raise click.UsageError(f"Missing option '--{key}', or a FILE.toml.")
    words: dict[str, Any] = {key: _words(grid[key]) for key in ("methods", "bits", "models") if grid[key]}
    words["scales"] = [_number(word) for word in _words(grid["scales"])]
    suite = grid["suite"]
    if suite and suite.endswith(".toml"):
        suite = str(Path(suite).expanduser().absolute())
    rest = {key: grid[key] for key in ("scope", "seed", "seeds")}
    fields = GridFields.parse({**words, **rest, "suite": suite, "options": parse_options(grid["options"])})
    return unfold([fields.with_defaults(GridFields())])


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")]


def _number(word: str) -> int:
    from ....errors import SrqError

    if not re.fullmatch(r"\d{1,9}", word):
        raise SrqError(f"no scale '{word}'; expected 2, 3 or 4")
    return int(word)
