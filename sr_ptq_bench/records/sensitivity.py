"""What the quantization of each part of a network costs, as data and as a file beside a record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from ..errors import SrqError
from ..storage.files import read_whole, write_atomically
from .files import SENSITIVITY

if TYPE_CHECKING:
    from pathlib import Path

By = Literal["site", "layer", "producer"]
LARGEST = 2**24
_SPELT = ConfigDict(ser_json_inf_nan="strings")  # JSON has neither infinity nor NaN


@dataclass(frozen=True)
class Group:
    """Sites that are quantized together, and two scores in dB: with only them quantized, and with all but them."""

    name: str
    role: str
    sites: int
    only: float
    without: float
    __pydantic_config__: ClassVar[ConfigDict] = _SPELT


@dataclass(frozen=True)
class Sensitivities:
    """Groups, the most sensitive first, and the score in dB with everything quantized; `unit` names the score."""

    groups: tuple[Group, ...]
    all_quantized: float
    unit: str
    __pydantic_config__: ClassVar[ConfigDict] = _SPELT


_FILE = TypeAdapter(Sensitivities)


def sensitivity_path(record: Path) -> Path:
    """Where the sensitivities of the sites of a record are."""
    return record.with_suffix(SENSITIVITY)


def write_sensitivity(found: Sensitivities, record: Path) -> Path:
    """Write the sensitivities of single sites beside the record; raises SrqError if the system refuses."""
    path = sensitivity_path(record)
    write_atomically(path, _FILE.dump_json(found, indent=1) + b"\n")
    return path


def read_sensitivity(record: Path) -> Sensitivities | None:
    """The sensitivities that are stored beside a record, if any; raises SrqError for a damaged file."""
    path = sensitivity_path(record)
    try:
        return _FILE.validate_json(read_whole(path, LARGEST)) if path.is_file() else None
    except OSError as error:
        raise SrqError(f"cannot read {path}: {error.strerror or error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]["msg"]
        raise SrqError(f"{path}: damaged: {first}; make it again with `srq analyze --keep`") from error
