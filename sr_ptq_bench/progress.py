"""Messages to the user: lines, and stages of work with their progress. Imports nothing of ours."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

Say = Callable[[str], None]
"""Tells the user a line."""


class Progress(Protocol):
    """Shows the user the progress of a stage."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Report that `done` of `total` steps are finished; `note` may hold the present loss."""


class Reporter(Protocol):
    """Tells the user what srq does."""

    def say(self, line: str) -> None:
        """Tell a line."""

    def stage(self, name: str) -> AbstractContextManager[Progress]:
        """Show a stage of work while the context is open."""


class Silent:
    """A reporter that shows nothing."""

    def say(self, line: str) -> None:
        """Tell nothing."""

    def stage(self, _name: str) -> AbstractContextManager[Progress]:
        """Show nothing."""
        return nullcontext(no_progress)


SILENT = Silent()


def no_progress(done: int, total: int, note: str = "") -> None:
    """Progress that is not shown."""


@dataclass
class TimedStages:
    """Stages that are shown by a reporter and timed."""

    reporter: Reporter
    seconds: dict[str, float] = field(default_factory=dict)
    """By the name of the stage; the seconds of stages of one name add up."""

    @contextmanager
    def __call__(self, name: str) -> Iterator[Progress]:
        """Open a stage."""
        start = time.perf_counter()
        with self.reporter.stage(name) as progress:
            yield progress
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
