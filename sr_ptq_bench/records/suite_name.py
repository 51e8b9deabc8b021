"""The suite of a record, and what `--test` and `--tile` have added to its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..protocol.suite import suite_names

if TYPE_CHECKING:
    from .record import Record


def suite_of(record: Record) -> str:
    """The name of the suite without what `--tile` and `--test` add."""
    name = record.spec.suite.removesuffix(suffix_of_tiles(record))
    return name if name in suite_names() else name.removesuffix(f"-{'-'.join(sorted(record.scores))}")


def given_tests(record: Record) -> list[str]:
    """The names of the test sets that `--test` gave; none if they are those of the suite."""
    is_own = suite_of(record) == record.spec.suite.removesuffix(suffix_of_tiles(record))
    return [] if is_own else sorted(record.scores)


def suffix_of_tiles(record: Record) -> str:
    """What `--tile` adds to the name."""
    tiles = record.spec.tiles
    return f"-tile{tiles.size}-{tiles.overlap}" if tiles else ""
