"""The sweep itself: an engine measures the missing cells, and every record is written when it arrives."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ..errors import SrqError
from ..records.compare import write_or_reproduce
from .engine import Failed, Running, Said
from .estimate import TimeLeft, in_words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ..progress import Say
    from ..records.record import Record
    from .engine import Engine, Finished
    from .estimate import Timings
    from .grid import Cell
    from .plan import Planned


class SweepProgress(Protocol):
    """Shows the cells that are being measured, by their index."""

    def say(self, line: str) -> None:
        """Tell a line."""

    def running(self, index: int, cell: str, stage: str, done: int, total: int) -> None:
        """A cell is in `stage`; `total` is 0 if its length is not known."""

    def ended(self, index: int, line: str, left: str) -> None:
        """A cell has ended as `line` says; `left` is what is left of the sweep."""


@dataclass(frozen=True)
class Failure:
    """A cell without a record, and why in one line."""

    cell: Cell
    error: str


def measure_all(
    planned: Sequence[Planned], engine: Engine, timings: Timings, lines: SweepProgress, replace: bool = False
) -> list[Failure]:
    """Bring every record into its folder; what failed. Raises SrqError if a remembered record cannot be written.

    Another result that is there already stays, unless the new one is to `replace` it.
    """
    for each in planned:
        if each.remembered:
            write_or_reproduce(each.remembered, each.folder, lines.say, replace)
    todo = [each for each in planned if not each.done]
    clock = TimeLeft(todo, timings, engine.workers)
    failures: list[Failure] = []
    with closing(engine.run([each.task for each in todo])) as events:
        for event in events:
            now, each = time.monotonic(), todo[event.index]
            if isinstance(event, Running):
                if event.stage == "start":
                    clock.begin(event.index, now)
                lines.running(event.index, str(each.cell), event.stage, event.done, event.total)
                continue
            if isinstance(event, Said):
                lines.say(f"{each.cell}: {event.line}")
                continue
            record, error = _written(event, each.folder, lines.say, replace)
            if record is None:
                failures.append(Failure(each.cell, error))
            clock.end(event.index, record)
            result = _scores(record) if record else "failed"
            lines.ended(event.index, f"{each.cell}: {result}", _left(clock, now))
    return failures


def _written(event: Finished | Failed, folder: Path, say: Say, replace: bool) -> tuple[Record | None, str]:
    """The record, now a file; or None and the reason."""
    if isinstance(event, Failed):
        return None, event.error
    try:
        write_or_reproduce(event.result, folder, say, replace)
    except SrqError as error:
        return None, str(error)
    return event.result.record, ""


def _left(clock: TimeLeft, now: float) -> str:
    seconds = clock.seconds(now)
    return f"{len(clock.left)} left" + (f", about {in_words(seconds)}" if seconds else "")


def _scores(record: Record) -> str:
    name, scores = next(iter(record.scores.items()))
    values = ", ".join(f"{metric.upper()} {value:.4f}" for metric, value in scores.mean.items())
    return f"{name} {values}, {record.timings['total']:.0f} s"
