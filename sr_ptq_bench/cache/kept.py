"""What is kept under the home folder, by kind: how much, and what of it may go."""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY = 86400.0


@dataclass(frozen=True)
class Kind:
    """Entries of one kind: the folder below home, a pattern in it, and whether they can be computed again."""

    name: str
    folder: str
    pattern: str
    again: bool

    def entries(self, home: Path) -> list[Path]:
        """The files, or folders that are one entry each, in order."""
        return sorted(home.joinpath(self.folder).glob(self.pattern))


KINDS = (
    Kind("scores of references", "cache", "scores-*", True),
    Kind("distributions", "cache", "distributions-*", True),
    Kind("costs of errors", "cache", "costs-*", True),
    Kind("outputs of FP networks", "cache/teacher", "*", True),
    Kind("calibrated states", "cache/states", "*", True),
    Kind("logs of defects", "logs", "*", True),
    Kind("results", "cache/records", "*", False),
    Kind("downloads", "downloads", "*", False),
    Kind("image sets", "images", "*", False),
)


def size_of(entry: Path) -> int:
    """The bytes of a file, or of all files of a folder."""
    files = entry.rglob("*") if entry.is_dir() and not entry.is_symlink() else [entry]
    total = 0
    for file in files:
        with suppress(OSError):  # another process may remove it meanwhile
            total += file.lstat().st_size if not file.is_dir() else 0
    return total


def prunable(home: Path, days: float, results: bool) -> Iterator[Path]:
    """The entries that can be computed again, with `results` the results too, untouched for this many days."""
    for kind in KINDS:
        if kind.again or (results and kind.name == "results"):
            yield from (entry for entry in kind.entries(home) if _age(entry) >= days * DAY)


def remove(entry: Path) -> None:
    """Remove a file or a folder, but not what a link points to; raises OSError if the system refuses."""
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink(missing_ok=True)


def _age(entry: Path) -> float:
    """Seconds since the youngest file of an entry was written."""
    files = [entry, *(entry.rglob("*") if entry.is_dir() else ())]
    times = [0.0]
    for file in files:
        with suppress(OSError):
            times.append(file.lstat().st_mtime)
    return max(0.0, time.time() - max(times))
