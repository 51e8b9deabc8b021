"""What a sweep is: grids of methods, bits and scales, from the command line or a TOML file, unfolded into cells."""

from __future__ import annotations

import shlex
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ..errors import SrqError, first_complaint, unknown
from ..protocol.bits import Bits
from ..protocol.limits import LARGEST_SEED
from ..protocol.run_spec import RunSpec
from ..protocol.suite import OptionSet, Suite
from ..protocol.types import OptionValue, ScopeName, parse_scale
from ..storage.home import expanded
from ..storage.text import read_toml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class Cell(BaseModel):
    """One run of a sweep as plain text; every machine resolves it itself.

    `entry` is the number of its `[[run]]` in the file. `defaults` are the options of the whole file, until the plan
    puts them under the cell's own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    bits: str
    scale: int
    suite: str
    model: str
    scope: ScopeName | None = None
    seed: int = 0
    options: dict[str, OptionValue] = {}
    defaults: dict[str, OptionValue] = {}
    entry: Annotated[int, Field(exclude=True)] = 0

    @property
    def protocol(self) -> tuple[str, str, int, ScopeName | None, int]:
        """Cells with the same values here share network, images and distributions."""
        return self.suite, self.model, self.scale, self.scope, self.seed

    def spec(self) -> RunSpec:
        """The run; raises SrqError."""
        return RunSpec(
            method=self.method,
            bits=Bits.parse(self.bits),
            scale=parse_scale(self.scale),
            suite=Suite.load(self.suite).with_model(self.model),
            scope=self.scope,
            seed=self.seed,
            options=self.options,
        )

    def command(self, shared: Iterable[str] = ()) -> str:
        """The call of `srq run` that measures this cell alone; `shared` are the words that all cells have."""
        words = ["srq", "run", "--method", self.method, "--bits", self.bits, "--scale", str(self.scale)]
        words += ["--suite", self.suite, "--model", self.model, "--seed", str(self.seed)]
        words += ["--scope", self.scope] if self.scope else []
        words += [word for key, value in self.options.items() for word in ("-o", f"{key}={value}")]
        return shlex.join([*words, *shared])

    def __str__(self) -> str:
        scope = f" scope {self.scope}" if self.scope else ""
        options = "".join(f" {key}={value}" for key, value in self.options.items())
        return f"{self.method} {self.bits} x{self.scale} {self.model} seed {self.seed}{scope}{options}"


def _all_different(values: tuple[Any, ...]) -> tuple[Any, ...]:
    twice = [value for value in values if values.count(value) > 1]
    if twice:
        raise ValueError(f"{twice[0]} is given twice")
    return values


def _checked_bits(value: Any) -> str:
    """4 or "w4a8", spelt as in a record."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("expected a number such as 4, or w4a8")
    try:
        return str(Bits.parse(str(value)))
    except SrqError as error:
        raise ValueError(str(error)) from error


def _checked_scale(value: int) -> int:
    try:
        return parse_scale(value)
    except SrqError as error:
        raise ValueError(str(error)) from error


def _not_empty(value: str) -> str:
    if not value.strip():
        raise ValueError("the name is empty")
    return value


_Name = Annotated[str, AfterValidator(_not_empty)]
_BitWidth = Annotated[str, BeforeValidator(_checked_bits)]
_Factor = Annotated[int, Field(strict=True), AfterValidator(_checked_scale)]
_Different = AfterValidator(_all_different)


class GridFields(BaseModel):
    """The keys of a `[[run]]` entry, and of the top of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    suite: _Name | None = None
    methods: Annotated[tuple[_Name, ...], Field(min_length=1), _Different] | None = None
    bits: Annotated[tuple[_BitWidth, ...], Field(min_length=1), _Different] | None = None
    scales: Annotated[tuple[_Factor, ...], Field(min_length=1), _Different] | None = None
    models: Annotated[tuple[_Name, ...], Field(min_length=1), _Different] | None = None
    scope: ScopeName | None = None
    seed: Annotated[int, Field(strict=True, ge=0, le=LARGEST_SEED)] | None = None
    seeds: Annotated[int, Field(strict=True, ge=1, le=1000)] | None = None
    options: OptionSet = {}

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """The choices of a command line; raises SrqError."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise SrqError(first_complaint(error, cls)) from error

    def with_defaults(self, defaults: GridFields) -> Grid:
        """The grid of these choices and the defaults; raises SrqError for a missing choice."""
        merged = {key: value for of in (defaults, self) for key, value in of if value is not None}
        merged |= {"options": self.options, "defaults": defaults.options}
        for key in ("methods", "bits", "scales"):
            if key not in merged:
                raise SrqError(f"{key} are missing; write {key} = [...] in the run or above all runs")
        return Grid(**{key: value for key, value in merged.items() if key in Grid.model_fields})


class Grid(BaseModel):
    """Methods x bits x scales x models x seeds under one suite, with one set of options over the file's `defaults`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    suite: str = "sample"
    methods: tuple[str, ...]
    bits: tuple[str, ...]
    scales: tuple[int, ...]
    models: tuple[str, ...] | None = None
    scope: ScopeName | None = None
    seed: int = 0
    seeds: int = 1
    options: dict[str, OptionValue] = {}
    defaults: dict[str, OptionValue] = {}

    def cells(self) -> list[Cell]:
        """Every run of the grid; runs that share network and images follow each other. Raises SrqError."""
        suite = Suite.load(self.suite)
        if self.seed + self.seeds - 1 > LARGEST_SEED:
            raise SrqError(f"the last of {self.seeds} seeds is larger than {LARGEST_SEED}")
        seeds = range(self.seed, self.seed + self.seeds)
        cells = [
            Cell(
                method=method,
                bits=bits,
                scale=scale,
                suite=self.suite,
                model=model,
                scope=self.scope,
                seed=seed,
                options=self.options,
                defaults=self.defaults,
            )
            for model, scale, seed, method, bits in product(
                self.models or (suite.model,), self.scales, seeds, self.methods, self.bits
            )
        ]
        for cell in {(cell.model, cell.scale): cell for cell in cells}.values():
            _ = cell.spec().weights  # raises if there are none
        return cells


class SweepFile(GridFields):
    """A TOML file: choices for all, and `[[run]]` entries with their own. Without entries the file is one grid."""

    plugins: tuple[Path, ...] = ()
    run: tuple[GridFields, ...] = ()

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file, its paths from the file's folder; raises SrqError."""
        try:
            sweep = cls.model_validate(read_toml(path, "sweep"))
        except ValidationError as error:
            raise SrqError(f"sweep {path}: {_complaint(error)}") from error
        folder = path.absolute().parent
        return sweep.model_copy(
            update={
                "suite": _in_folder(folder, sweep.suite),
                "plugins": tuple(folder / expanded(plugin) for plugin in sweep.plugins),
                "run": tuple(r.model_copy(update={"suite": _in_folder(folder, r.suite)}) for r in sweep.run),
            }
        )

    def grids(self) -> list[Grid]:
        """One grid per entry; raises SrqError."""
        grids = []
        for number, choices in enumerate(self.run or (GridFields(),), 1):
            try:
                grids.append(choices.with_defaults(self))
            except SrqError as error:
                raise SrqError(f"run {number}: {error}" if self.run else str(error)) from error
        return grids


def _in_folder(folder: Path, suite: str | None) -> str | None:
    """A suite's file as an absolute path; a built-in suite by its name."""
    return str(folder / expanded(suite)) if suite and suite.endswith(".toml") else suite


def _complaint(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    if first["type"] == "extra_forbidden":
        *where, key = first["loc"]
        allowed = GridFields.model_fields if where else SweepFile.model_fields
        place = f"run {int(where[1]) + 1}: " if where else ""
        return f"{place}{unknown('key', str(key), allowed)}"
    return first_complaint(error, SweepFile)


def unfold(grids: Sequence[Grid]) -> list[Cell]:
    """The cells of all grids; raises SrqError for a cell that is named twice."""
    cells = [cell.model_copy(update={"entry": number}) for number, grid in enumerate(grids, 1) for cell in grid.cells()]
    known: set[str] = set()
    for cell in cells:
        text = cell.model_dump_json()
        if text in known:
            raise given_twice(cell)
        known.add(text)
    return cells


def given_twice(cell: Cell) -> SrqError:
    """The error for a cell that is given twice."""
    return SrqError(f"cell {cell} is given twice; leave one out")
