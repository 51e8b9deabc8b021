"""The live list of a sweep: its cells that are being measured, and what each ended with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .stages import TITLES

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from ...progress import Say


class SweepLines:
    """The cells that are being measured, by their index, below the progress of the whole."""

    def __init__(self, live: Progress, whole: TaskID, say: Say) -> None:
        self._live, self._whole, self.say = live, whole, say
        self._tasks: dict[int, TaskID] = {}

    def running(self, index: int, cell: str, stage: str, done: int, total: int) -> None:
        """Show the stage of a cell."""
        if index not in self._tasks:
            self._tasks[index] = self._live.add_task(cell, note="")
        self._live.update(self._tasks[index], completed=done, total=total or None, note=TITLES.get(stage, stage))

    def ended(self, index: int, line: str, left: str) -> None:
        """A cell has ended; `left` is the time until all have."""
        if index in self._tasks:
            self._live.remove_task(self._tasks.pop(index))
        self._live.update(self._whole, advance=1, note=left)
        self.say(f"{line}; {left}")
