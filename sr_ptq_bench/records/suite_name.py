"""The suite of a record, and what `--test` and `--tile` have added to its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import SrqError
from ..protocol.suite import Suite, suite_names

if TYPE_CHECKING:
    from .record import Record


def suite_of(record: Record) -> str:
    """The name of the suite without what `--tile` and `--test` add."""
    name = record.spec.suite.removesuffix(suffix_of_tiles(record))
    return name if name in suite_names() else name.removesuffix(f"-{'-'.join(sorted(record.scores))}")


def load_suite_of(record: Record, file: str | None) -> Suite:
    """The suite of a record: the given one, or else the built-in one that the record names; raises SrqError."""
    name = suite_of(record)
    if file is None and name not in suite_names():
        raise SrqError(f"suite '{name}' of the record is not built in; give its file: --suite FILE.toml")
    return Suite.load(file or name)


def given_tests(record: Record) -> list[str]:
    """The names of the test sets that `--test` gave; none if they are those of the suite."""
    is_own = suite_of(record) == record.spec.suite.removesuffix(suffix_of_tiles(record))
    return [] if is_own else sorted(record.scores)


def suffix_of_tiles(record: Record) -> str:
    """What `--tile` adds to the name."""
    tiles = record.spec.tiles
    return f"-tile{tiles.size}-{tiles.overlap}" if tiles else ""
