"""Types of single values in a record."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationInfo,
)

SCHEMA_VERSION: Final = 2
"""Version of records; version 1 had bounds instead of the state of a student."""
PORTABLE = r"^([^/~\\A-Za-z]|[A-Za-z]([^:]|:([^/\\]|$)|$)|$)"
"""The start of a text that is no absolute path of any system; pydantic checks a pattern without calling Python."""
LARGEST = 1e200
"""Of scores and figures, so that sums of them stay finite and can be drawn."""
LONGEST_TIME = 1e9
"""Thirty years in seconds."""
NO_PATHS = "a record holds no absolute paths"


def _storable(value: Any) -> Any:
    for item in value if isinstance(value, tuple) else (value,):
        if isinstance(item, str):
            item.encode()  # raises ValueError for what no UTF-8 file can hold
            if not re.match(PORTABLE, item):
                raise ValueError(NO_PATHS)
        if isinstance(item, float) and not abs(item) <= LARGEST:
            raise ValueError(f"expected a finite number up to {LARGEST}, got {item}")
    return value


def _score(value: object, info: ValidationInfo) -> float:
    """All checks of a score in one function: a record has dozens of scores, and 10,000 records are read at once."""
    if isinstance(value, float) and -LARGEST <= value <= LARGEST:
        return value
    if value == "inf" or (value == math.inf and info.mode == "python"):
        return math.inf
    if value == math.inf:
        raise ValueError('an infinite score is written "inf"')
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST:
        return float(value)
    raise ValueError("a score is a number or +inf")


def utc(value: AwareDatetime) -> AwareDatetime:
    """The time; raises ValueError unless it is in UTC."""
    if value.utcoffset() != timedelta(0):
        raise ValueError("expected a time in UTC")
    return value


Text = Annotated[str, Field(pattern=PORTABLE)]
"""Any text but an absolute path, which has no meaning on another machine."""
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", max_length=100)]
"""A name that is safe in a file name."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Score = Annotated[
    float,
    PlainValidator(_score),
    PlainSerializer(lambda value: "inf" if value == math.inf else value, when_used="json"),
]
"""A float, or +inf (the PSNR of equal images), which JSON lacks and the file therefore spells "inf"."""
Scalar = bool | int | float | str
Setting = Annotated[Scalar | tuple[Scalar, ...] | None, AfterValidator(_storable)]
Figure = Annotated[Scalar | tuple[float, ...], AfterValidator(_storable)]


class RecordPart(BaseModel):
    """Base of the parts of a record: immutable, unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
