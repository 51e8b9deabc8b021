"""The header of a stored state: the teacher that it belongs to, and the quantizer of each site."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...errors import SrqError, first_complaint

METADATA = "srq"


class _Header(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SiteHeader(_Header):
    """The quantizer of a site: its kind, its bits and, for a kind that only a plugin knows, the plugin."""

    kind: str
    bits: int = Field(ge=1, le=32)
    plugin: str | None = None
    version: str | None = None


class StateHeader(_Header):
    """The teacher and the sites of a state."""

    format: Literal["srq student"] = "srq student"
    version: Literal[1] = 1
    teacher_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    sites: dict[str, SiteHeader]


def read_header(data: bytes) -> StateHeader:
    """The header of a state; raises SrqError if the bytes are no state, or the state of a later srq."""
    try:
        length = int.from_bytes(data[:8], "little")
        text = json.loads(data[8 : 8 + length])["__metadata__"][METADATA]
        return StateHeader.model_validate_json(text)
    except ValidationError as error:
        raise SrqError(f"not a state that this srq reads: {first_complaint(error, StateHeader)}") from error
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise SrqError("not the state of a student: damaged, or a file of bounds of srq 0.1; measure again") from error
