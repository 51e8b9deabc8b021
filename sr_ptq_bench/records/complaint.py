"""Why a record is refused."""

from __future__ import annotations

from pydantic import (
    BaseModel,
    ValidationError,
)

from ..errors import first_complaint
from .fields import NO_PATHS, PORTABLE, SCHEMA_VERSION


def is_newer(error: ValidationError) -> bool:
    """Whether a record is refused because its schema version is a later one."""
    versions = (each["input"] for each in error.errors(include_url=False) if each["loc"] == ("schema_version",))
    return any(isinstance(version, int | float) and version > SCHEMA_VERSION for version in versions)


def complaint(error: ValidationError, model: type[BaseModel]) -> str:
    """One printable line of bounded length, whatever the file holds."""
    first = error.errors(include_url=False)[0]
    if first["loc"] == ("schema_version",) and first["type"] == "literal_error":
        older = type(first["input"]) is int and first["input"] < SCHEMA_VERSION
        remedy = "; it is of an older srq: measure again" if older else ""
        text = f"schema version {first['input']!r}; this srq reads {SCHEMA_VERSION}{remedy}"
    elif first.get("ctx", {}).get("pattern") == PORTABLE:
        text = f"{'.'.join(map(str, first['loc']))}: {NO_PATHS}"
    elif first["type"] == "json_invalid":
        text = first["msg"]
    else:
        text = first_complaint(error, model)
    return "".join(c if c.isprintable() else " " for c in text)[:300]
