"""A suite: the fixed protocol of a table."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from ..errors import SrqError, first_complaint, prefix_error, unknown
from ..storage.home import expanded
from ..storage.text import read_toml
from .types import Frozen, OptionValue, Padding, Scale

if TYPE_CHECKING:
    from collections.abc import Iterable


MOST_PIXELS = 2**31
"""Pixels of all calibration patches together: 6 GiB."""
SUITES = Path(__file__).parent / "suites"
WEIGHTS = Path(__file__).parents[1] / "weights"


class Download(Frozen):
    """Weights of a published release, by their name in `srq data get`."""

    download: str


def _not_empty(folder: Any) -> Any:
    if folder == "":
        raise ValueError("is empty; write . for the folder of the suite's file")
    return folder


class DataSource(Frozen):
    """Where images come from: sample photos or image sets by name, an HR folder (LR generated), or an HR and LR pair.

    `datasets` are sets that `srq data import` or `srq data get` made available. `hr` and `lr` are folders of images,
    or LMDBs in BasicSR's format. `{scale}` in them is replaced by the scale of the run. A last part with `{name}` is a
    pattern of the files' names.
    """

    photos: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    hr: Annotated[Path, BeforeValidator(_not_empty)] | None = None
    lr: Annotated[str, BeforeValidator(_not_empty)] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if bool(self.photos) + bool(self.datasets) + (self.hr is not None) != 1:
            raise ValueError("name photos, datasets or an hr folder, and only one of them")
        if self.lr is not None and self.hr is None:
            raise ValueError("an lr folder needs its hr folder")
        return self

    def relative_to(self, folder: Path) -> DataSource:
        """The same source with its relative paths read from `folder`."""
        if self.hr is None:
            return self
        lr = None if self.lr is None else str(folder / expanded(self.lr))
        return DataSource(hr=folder / expanded(self.hr), lr=lr)


class Calibration(Frozen):
    """LR patches that the methods may see: `patches` random crops of `size` x `size` pixels."""

    source: DataSource
    patches: int = Field(32, strict=True, ge=1, le=2**20)
    size: int = Field(64, strict=True, ge=8, le=2**12)

    @model_validator(mode="after")
    def _fits_into_memory(self) -> Self:
        pixels = self.patches * self.size**2
        if pixels > MOST_PIXELS:
            raise ValueError(
                f"{self.patches} patches of {self.size}x{self.size} are {pixels} pixels; the limit is {MOST_PIXELS}"
            )
        return self


class Tiles(Frozen):
    """Networks see an image in tiles: squares of `size` LR pixels, each with `overlap` more on every side."""

    size: int = Field(strict=True, ge=8, le=2**16)
    overlap: int = Field(16, strict=True, ge=0, le=2**16)


def _scales(table: Any) -> Any:
    if not isinstance(table, dict):
        return table
    return _once((int(k) if re.fullmatch("[0-9]{1,9}", str(k)) else k, _built_in(v)) for k, v in table.items())


def _built_in(file: Any) -> Any:
    """`built_in = "swinir-light-x2"` means the file of that name which comes with srq."""
    if not isinstance(file, dict) or file.keys() != {"built_in"}:
        return file
    known = {path.stem.replace("_", "-"): path for path in WEIGHTS.glob("*.safetensors")}
    name = str(file["built_in"])
    if name not in known:
        raise unknown("built-in weights", name, known)
    return known[name]


def _flat(table: Any) -> Any:
    """`dqc.lr = 1` in TOML is a table within a table, which means `"dqc.lr" = 1`."""
    if not isinstance(table, dict):
        return table
    nested = ((f"{part}.{key}", v) for part, of in table.items() if isinstance(of, dict) for key, v in of.items())
    return _once(chain(((key, v) for key, v in table.items() if not isinstance(v, dict)), nested))


def _once(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """A table of the pairs; raises ValueError for a key that is there twice, in two ways of writing it."""
    table: dict[Any, Any] = {}
    for key, value in pairs:
        if key in table:
            raise ValueError(f"{key} is given twice")
        table[key] = value
    return table


OptionSet = Annotated[dict[str, OptionValue], BeforeValidator(_flat)]
WeightFiles = Annotated[dict[Scale, Path | Download], BeforeValidator(_scales)]


class Suite(Frozen):
    """A fixed protocol; only records of one suite share a table.

    `model` with its `weights` is the network of the suite; `networks` holds the weights of other networks, by name, for
    `--model`.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)
    description: str = ""
    model: str
    weights: WeightFiles
    networks: dict[str, WeightFiles] = Field(default_factory=dict)
    calibration: Calibration
    test: dict[Annotated[str, Field(min_length=1)], DataSource] = Field(min_length=1)
    padding: Padding = "flip"
    tiles: Tiles | None = None
    options: OptionSet = Field(default_factory=dict)

    @classmethod
    def load(cls, name: str) -> Suite:
        """Read a built-in suite by name or any suite from a `.toml` file; raises SrqError."""
        path = expanded(name) if name.endswith(".toml") else SUITES / f"{name}.toml"
        if not name.endswith(".toml") and name not in suite_names():
            raise unknown("suite", name, suite_names())
        try:
            suite = cls.model_validate(read_toml(path, "suite"))
        except ValidationError as error:
            raise SrqError(f"suite {path}: {first_complaint(error, cls)}") from error
        with prefix_error(f"suite {path}"):
            suite._check_name()
        return suite._relative_to(path.parent)

    def with_model(self, name: str) -> Suite:
        """The same protocol with another of its networks; raises SrqError if it has no such network."""
        networks = {self.model: self.weights, **self.networks}
        if name not in networks:
            raise unknown("model", name, networks)
        return self.model_copy(update={"model": name, "weights": networks[name]})

    def with_tiles(self, tiles: Tiles) -> Suite:
        """The same protocol with images in tiles, under another name, so that no table mixes the two."""
        return self.model_copy(update={"name": f"{self.name}-tile{tiles.size}-{tiles.overlap}", "tiles": tiles})

    def _check_name(self) -> None:
        """Raise SrqError for a name as `--test` and `--tile` make it: its records would pass for theirs."""
        added = re.search(rf"-(tile\d+-\d+|{'|'.join(map(re.escape, self.test))})$", self.name)
        if added:
            option = "--test" if added[1] in self.test else "--tile"
            raise SrqError(f"name '{self.name}' ends in '{added[0]}', as {option} would make it; choose another")

    def _relative_to(self, folder: Path) -> Suite:
        """Paths in a suite file are read from the file's own folder."""
        calibration = self.calibration.model_copy(update={"source": self.calibration.source.relative_to(folder)})
        return self.model_copy(
            update={
                "weights": _files_in(folder, self.weights),
                "networks": {name: _files_in(folder, weights) for name, weights in self.networks.items()},
                "calibration": calibration,
                "test": {name: source.relative_to(folder) for name, source in self.test.items()},
            }
        )


def _files_in(folder: Path, weights: WeightFiles) -> WeightFiles:
    return {scale: folder / expanded(file) if isinstance(file, Path) else file for scale, file in weights.items()}


def suite_names() -> list[str]:
    """Names of the built-in suites."""
    return sorted(path.stem for path in SUITES.glob("*.toml"))
