"""The interface of engines: an engine runs tasks, anywhere, and reports their events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ..errors import SrqError

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from ..records.files import RunResult
    from .worker import Task

ATTEMPTS = 3
"""How often a cell is started, if its process or machine vanishes, before it counts as failed."""


@dataclass(frozen=True)
class Running:
    """A task has begun or continued `stage`; `total` is 0 if its length is not known."""

    index: int
    stage: str
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class Said:
    """A task tells the user a line."""

    index: int
    line: str


@dataclass(frozen=True)
class Finished:
    """A task has given its record."""

    index: int
    result: RunResult


@dataclass(frozen=True)
class Failed:
    """A task has ended without a record; `error` is one line."""

    index: int
    error: str


Event = Running | Said | Finished | Failed


class Engine(Protocol):
    """Measures tasks, at most `workers` at once. Leaving its context ends all that it has started."""

    workers: int

    def __enter__(self) -> Engine: ...

    def __exit__(self, *_: object) -> None: ...

    def run(self, tasks: Sequence[Task]) -> Generator[Event, None, None]:
        """Events as they happen, each with the task's index; every task ends in one Finished or Failed.

        Closing the generator ends all work.
        """


def one_line(error: Exception) -> str:
    """An exception as a line: srq's own message, or the type and the message of another exception."""
    text = " ".join(str(error).split())
    return text if isinstance(error, SrqError) else f"{type(error).__name__}: {text}".removesuffix(": ")
