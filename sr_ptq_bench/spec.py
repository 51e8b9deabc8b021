"""What a run is: the suite (a fixed protocol) and the run's own choices, validated on creation."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, Union, cast, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from .errors import SrqError, unknown
from .files import read_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

LARGEST_SUITE = 2**18
MOST_DOTS = 200
"""In a line: tomllib takes minutes for a key of 40,000 parts."""
SUITES = Path(__file__).parent / "suites"

Scale = Literal[2, 3, 4]
Padding = Literal["flip", "reflect", "window"]
ScopeName = Literal["linear", "all"]
OptionValue = bool | int | float | str


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Bits(_Frozen):
    """Bit-widths of weights (W) and activations (A), 2 to 8 each."""

    weight: int = Field(ge=2, le=8)
    activation: int = Field(ge=2, le=8)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `4` (both) or `w4a8`; raises SrqError for anything else."""
        match = re.fullmatch(r"w?(\d{1,9})a(\d{1,9})|(\d{1,9})", text.strip().lower())
        if match is None:
            raise SrqError(f"no bit-width '{text}'; expected a number such as 4, or w4a8")
        weight, activation = (match[3], match[3]) if match[3] else (match[1], match[2])
        if not (2 <= int(weight) <= 8 and 2 <= int(activation) <= 8):
            raise SrqError(f"bits '{text}' are out of range; expected 2 to 8")
        return cls(weight=int(weight), activation=int(activation))

    def of(self, role: str) -> int:
        """The bit-width of a site of this role (weight or activation)."""
        return self.weight if role == "weight" else self.activation

    def __str__(self) -> str:
        return f"w{self.weight}a{self.activation}"


class Download(_Frozen):
    """Weights of a published release, by the name under which `srq data get` knows them."""

    download: str


class DataSource(_Frozen):
    """Where images come from: sample photos or image sets by name, an HR folder (LR generated), or an HR and LR pair.

    `datasets` are sets that `srq data import` or `srq data get` has put at hand. `hr` and `lr` are folders of images,
    or folders ending in `.lmdb` in BasicSR's format. `{scale}` in `lr` is replaced by the scale of the run.
    """

    photos: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    hr: Path | None = None
    lr: str | None = None

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
        lr = None if self.lr is None else str(folder / self.lr)
        return DataSource(hr=folder / self.hr, lr=lr)


class Calibration(_Frozen):
    """LR patches that the methods may see: `patches` random crops of `size` x `size` pixels."""

    source: DataSource
    patches: int = Field(32, ge=1)
    size: int = Field(64, ge=8)


class Tiles(_Frozen):
    """Networks see an image in tiles: squares of `size` LR pixels, each with `overlap` more on every side."""

    size: int = Field(ge=8, le=2**16)
    overlap: int = Field(16, ge=0, le=2**16)


def _scales(table: Any) -> Any:
    return {int(k) if str(k).isdigit() else k: v for k, v in table.items()} if isinstance(table, dict) else table


def _flat(table: Any) -> Any:
    """`dqc.lr = 1` in TOML is a table within a table, which means `"dqc.lr" = 1`."""
    if not isinstance(table, dict):
        return table
    nested = {f"{part}.{key}": v for part, of in table.items() if isinstance(of, dict) for key, v in of.items()}
    return {key: value for key, value in table.items() if not isinstance(value, dict)} | nested


OptionSet = Annotated[dict[str, OptionValue], BeforeValidator(_flat)]
WeightFiles = Annotated[dict[Scale, Path | Download], BeforeValidator(_scales)]


class Suite(_Frozen):
    """A fixed protocol; only records of one suite share a table.

    `model` with its `weights` is the network of the suite; `networks` holds the weights of others, by name, that may be
    measured in its place.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)
    description: str = ""
    model: str
    weights: WeightFiles
    networks: dict[str, WeightFiles] = {}
    calibration: Calibration
    test: dict[str, DataSource] = Field(min_length=1)
    padding: Padding = "flip"
    tiles: Tiles | None = None
    options: OptionSet = {}

    @classmethod
    def load(cls, name: str) -> Suite:
        """Read a built-in suite by name or any suite from a `.toml` file; raises SrqError."""
        path = Path(name) if name.endswith(".toml") else SUITES / f"{name}.toml"
        if not name.endswith(".toml") and name not in suite_names():
            raise unknown("suite", name, suite_names())
        try:
            text = read_whole(path, LARGEST_SUITE).decode()
            if any(line.count(".") > MOST_DOTS for line in text.splitlines()):
                raise SrqError(f"suite {path}: a line has more than {MOST_DOTS} dots; shorten it")
            table = tomllib.loads(text)
            suite = cls.model_validate(table)
        except ValidationError as error:
            raise SrqError(f"suite {path}: {first_complaint(error, cls)}") from error
        except OSError as error:
            raise SrqError(f"cannot read suite {path}: {error.strerror or error}") from error
        except (ValueError, RecursionError) as error:  # tomllib's own error, a number of 5,000 digits, deep nesting
            raise SrqError(f"cannot read suite {path}: {error}; expected a TOML file") from error
        return suite._relative_to(path.parent)

    def with_model(self, name: str) -> Suite:
        """The same protocol with another of its networks; raises SrqError for one that it does not have."""
        networks = {self.model: self.weights, **self.networks}
        if name not in networks:
            raise unknown("model", name, networks)
        return self.model_copy(update={"model": name, "weights": networks[name]})

    def with_tiles(self, tiles: Tiles) -> Suite:
        """The same protocol with images in tiles, under a name that no table mixes with it."""
        return self.model_copy(update={"name": f"{self.name}-tile{tiles.size}-{tiles.overlap}", "tiles": tiles})

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
    return {scale: folder / file if isinstance(file, Path) else file for scale, file in weights.items()}


def suite_names() -> list[str]:
    """Names of the built-in suites."""
    return sorted(path.stem for path in SUITES.glob("*.toml"))


class RunSpec(_Frozen):
    """One run: a method at a bit-width and a scale, under a suite; `scope` is the network's own unless it is named."""

    method: str
    bits: Bits
    scale: Scale
    suite: Suite
    scope: ScopeName | None = None
    seed: int = Field(0, ge=0)
    options: dict[str, OptionValue] = {}

    @property
    def weights(self) -> Path | Download:
        """The weights of this run's scale; raises SrqError where the suite has none."""
        if self.scale not in self.suite.weights:
            have = ", ".join(f"x{scale}" for scale in sorted(self.suite.weights))
            raise SrqError(f"suite '{self.suite.name}' has no weights for x{self.scale}; it has {have}")
        return self.suite.weights[self.scale]


def parse_scale(number: int) -> Scale:
    """Check an upscaling factor; raises SrqError unless 2, 3 or 4."""
    for scale in get_args(Scale):
        if number == scale:
            return cast("Scale", scale)
    raise SrqError(f"scale {number} is out of range; expected 2, 3 or 4")


def parse_options(pairs: tuple[str, ...]) -> dict[str, OptionValue]:
    """Split `key=value` arguments; the values stay text until the plugin that owns them reads them."""
    options: dict[str, OptionValue] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise SrqError(f"option '{pair}' is not of the form key=value")
        if key.strip() in options:
            raise SrqError(f"option '{key.strip()}' is given twice")
        options[key.strip()] = value.strip()
    return options


def _keys(model: type[BaseModel], path: Sequence[int | str]) -> Iterable[str]:
    """The keys that a table of the model may have, where `path` leads to the table."""
    at: Any = model
    for part in path:
        if not hasattr(at, "model_fields"):
            at = get_args(at)[-1]
        elif part in at.model_fields:  # else the name of a member of a union, which is at hand already
            at = at.model_fields[part].annotation
        at = next((member for member in get_args(at) if hasattr(member, "model_fields")), at) if _is_union(at) else at
    return list(getattr(at, "model_fields", ()))


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, UnionType)


def first_complaint(error: ValidationError, model: type[BaseModel]) -> str:
    """Say the first thing that pydantic found wrong as one line, with the nearest name for an unknown key."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        *parents, key = first["loc"]
        return str(unknown("key", str(key), _keys(model, parents))).replace(str(key), where, 1)
    message = first["msg"].removeprefix("Value error, ")
    given = first["input"]
    shown = f", got {given!r}" if isinstance(given, str | int | float | bool) else ""
    return f"{where}: {message}{shown}" if where else message


class Options(BaseModel):
    """Base of a method's options: typed, immutable, unknown keys refused with the nearest name.

    A subclass may set `presets`, a table of named defaults; it then has an option `preset` that chooses among them,
    and every single value given beside it wins over the preset's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def presets(cls) -> Mapping[str, Mapping[str, OptionValue]]:
        """Named sets of values; none by default."""
        return {}

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Validate `values` over the chosen preset; raises SrqError that names the key and what was expected."""
        presets = cls.presets()
        chosen: Mapping[str, Any] = {}
        if presets:
            name = str(values.get("preset", next(iter(presets))))
            if name not in presets:
                raise unknown("preset", name, presets)
            chosen = {"preset": name, **presets[name]}
        for key in values:
            if key not in cls.model_fields:
                raise unknown("option", key, cls.model_fields)
        try:
            return cls.model_validate({**chosen, **values})
        except ValidationError as error:
            raise SrqError(f"option {first_complaint(error, cls)}") from error
