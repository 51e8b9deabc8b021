"""The time that a stage still takes, by the steps of this process."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.progress import ProgressColumn
from rich.text import Text

if TYPE_CHECKING:
    from rich.progress import Task

TIME = 7
"""Columns of a time, such as 0:01:23."""
KNOWN_S = 0.5
"""What a stage reports in its first seconds may be known from a killed run, and says nothing of the time left."""


class TimeLeft(ProgressColumn):
    """The time until a stage ends, by the steps that this process made; a continued run makes no jump."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        """As 0:01:23, or a gap where nothing is known yet."""
        seconds = task.fields["pace"].left(task.completed, task.total)
        shown = "-:--:--" if seconds is None else str(timedelta(seconds=int(seconds)))
        return Text("" if task.finished else shown.rjust(TIME))


class Pace:
    """Seconds per step of one stage, counted from its first step that was not known before."""

    def __init__(self) -> None:
        self._begin = time.monotonic()
        self._first: tuple[float, int] | None = None
        self._last = self._begin

    def report(self, done: int) -> None:
        """Steps are done."""
        self._last = time.monotonic()
        if self._first is None or self._last - self._begin < KNOWN_S:
            self._first = (self._last, done)

    def left(self, done: float, total: float | None) -> float | None:
        """Seconds until `total` steps are done; None while no step was timed."""
        if self._first is None or total is None or done <= self._first[1]:
            return None
        seconds, steps = self._last - self._first[0], done - self._first[1]
        return max(0.0, seconds / steps * (total - done) - (time.monotonic() - self._last))
