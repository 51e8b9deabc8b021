"""The words of a protocol: scale, padding, scope, seed, the values of options."""

from __future__ import annotations

from typing import Annotated, Literal, cast, get_args

from pydantic import BaseModel, ConfigDict, Field

from ..errors import SrqError
from .limits import LARGEST_SEED

Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
Scale = Literal[2, 3, 4]
Padding = Literal["flip", "reflect", "window"]
ScopeName = Literal["linear", "all"]
ScopeWord = Literal["linear", "linear+matmul", "linear+conv", "all"]
"""What tables call a scope: with products at sites, or layers alone."""
OptionValue = bool | int | float | str


class Frozen(BaseModel):
    """Base of what is fixed before a run: immutable, unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def parse_scale(number: int) -> Scale:
    """Check an upscaling factor; raises SrqError unless 2, 3 or 4."""
    for scale in get_args(Scale):
        if number == scale:
            return cast("Scale", scale)
    raise SrqError(f"scale {number} is out of range; expected 2, 3 or 4")
