"""Scores that others have published, each with its source."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, FiniteFloat, ValidationError

from ..errors import SrqError, prefix_error, unknown
from ..library.registry import Registry, file_name
from ..protocol.types import Scale, ScopeWord
from ..records.complaint import complaint
from ..records.complexity import FULL_PRECISION
from ..storage.text import read_table

if TYPE_CHECKING:
    from collections.abc import Sequence

FILE = "published.csv"
LARGEST_FILE = 2**24
OFFICIAL_WEIGHTS = {
    release.sha256: file_name(release.url) for release in Registry.load().weights.values() if release.sha256
} | {
    "580d70f0fe12cf536c9f9da78808c491f14ce195759df7ebc27710cf096b81ca": "dat_light_x2.safetensors",
    "6b8caad151c99e43dff633f2b2d1a697c47cff7abc96e04a1ea2ac68d9542a21": "dat_light_x3.safetensors",
    "9e7324d98137cd5af16b6368c6edd94bb728ef8e342cbd99a16b9b8813ae9253": "dat_light_x4.safetensors",
}
"""Checkpoints that published scores belong to, by their SHA-256: those with a known hash, and those of the package."""


class Published(BaseModel):
    """A mean over a test set, as printed in `source`, and the row and scope of our tables that it is compared with.

    `backbone` and `method` are the source's words, `model` and `row` ours. Weights and activations have `bits` each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field(min_length=1)
    backbone: str
    scale: Annotated[Scale, BeforeValidator(lambda text: int(text) if str(text).strip().isdecimal() else text)]
    bits: int = Field(ge=2, le=FULL_PRECISION)
    method: str
    dataset: str = Field(min_length=1)
    psnr: FiniteFloat
    ssim: Annotated[FiniteFloat | None, Field(le=1), BeforeValidator(lambda text: text or None)]
    model: str = Field(min_length=1)
    scope: Literal["", ScopeWord]
    row: str = Field(min_length=1)


def published_file(folder: Path) -> Path:
    """The published scores of a folder of tables, or else those that come with srq."""
    checkout = Path(__file__).parents[2] / "leaderboards"
    places = [place / FILE for place in (folder, Path(__file__).parent, checkout)]
    return next((place for place in places if place.exists()), places[0])


def read_published(path: Path) -> list[Published]:
    """Read a CSV file, a score per line; raises SrqError that names the file, the line and its first fault."""
    try:
        columns, lines = read_table(path, LARGEST_FILE)
    except OSError as error:
        raise SrqError(f"cannot read published scores {path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise SrqError(f"published scores {path}: {error}; expected a CSV file in UTF-8") from error
    with prefix_error(f"published scores {path}"):
        _check_columns(columns)
    found: dict[object, tuple[int, Published]] = {}
    for number, line in lines:
        with prefix_error(f"published scores {path}, line {number}"):
            score = _parsed(line)
            earlier, _ = found.setdefault(_what(score), (number, score))
            if earlier != number:
                raise SrqError(f"the same score as in line {earlier}; leave one out")
    return [score for _, score in found.values()]


def _check_columns(columns: Sequence[str]) -> None:
    for name in columns:
        if name not in Published.model_fields:
            raise unknown("column", name, Published.model_fields)
        if columns.count(name) > 1:
            raise SrqError(f"column '{name}' is there twice; leave one out")
    missing = [name for name in Published.model_fields if name not in columns]
    if missing:
        raise SrqError(f"its first line lacks the columns {', '.join(missing)}")


def _parsed(line: dict[str, str]) -> Published:
    if "more" in line:
        raise SrqError("it has more values than there are columns")
    try:
        return Published.model_validate(line)
    except ValidationError as error:
        raise SrqError(complaint(error, Published)) from error


def _what(score: Published) -> tuple[object, ...]:
    """What a score is of; a source prints it once."""
    return score.source, score.model, score.scale, score.bits, score.row, score.scope, score.dataset
