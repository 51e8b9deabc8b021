"""The reporter of the command line: bars and lines on stderr, tables on stdout."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from ..errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from ..progress import Progress as ShowProgress
    from ..progress import Say
    from ..records.record import Record
    from ..records.scores import DatasetScores

TITLES = {
    "score fp": "Score the FP network",
    "score bicubic": "Score bicubic",
    "score bilinear": "Score bilinear",
    "transform": "Rewrite weights",
    "choose bits": "Choose bits of sites",
    "observe": "Observe distributions",
    "bounds": "Choose bounds",
    "calibrate": "Calibrate",
    "evaluate": "Score the quantized network",
}


UNLIMITED = 1000
"""Columns of output that is no terminal."""
WIDEST_NUMBER = 6


class Display:
    """Progress on stderr, results on stdout."""

    def __init__(self, lines_on_stdout: bool = False) -> None:
        self.out = Console(highlight=False, markup=False)
        self.err = Console(stderr=True, highlight=False, markup=False)
        self._lines = self.out if lines_on_stdout else self.err
        self._open: Progress | None = None

    def say(self, line: str) -> None:
        """A line for the user."""
        self._lines.print(printable(line), soft_wrap=True)

    @contextmanager
    def stage(self, name: str) -> Iterator[ShowProgress]:
        """A bar that stays when the stage ends; a line if stderr is no terminal."""
        title = TITLES.get(name, name)
        if not self.err.is_terminal:
            self.err.print(title)
        with self._bars() as live:
            task = live.add_task(title, total=None, note="")

            def report(done: int, total: int, note: str = "") -> None:
                live.update(task, completed=done, total=total, note=note)

            yield report
            live.update(task, total=1, completed=1, note="")

    @contextmanager
    def _bars(self) -> Iterator[Progress]:
        """The bars of the stage that is open already, or new ones."""
        if self._open is not None:
            yield self._open
            return
        columns = (
            TextColumn("{task.description:<28}", markup=False),
            BarColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        with Progress(*columns, console=self.err, disable=not self.err.is_terminal) as live:
            self._open = live
            try:
                yield live
            finally:
                self._open = None

    @contextmanager
    def sweep(self, cells: int) -> Iterator[SweepLines]:
        """A live list of the cells that are being measured; a line above it, or alone, as each ends."""
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
        note = TextColumn("{task.fields[note]}", markup=False)
        with Progress(*columns, note, console=self.err, disable=not self.err.is_terminal) as live:
            yield SweepLines(live, live.add_task("Sweep", total=cells, note=""), self.say)

    def table(self, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Rows of text on stdout; where that is no terminal, no cell is cut."""
        table = Table()
        for title in header:
            table.add_column(title)
        for row in rows:
            table.add_row(*map(printable, row))
        self.out.print(table, width=None if self.out.is_terminal else UNLIMITED)

    def record(self, record: Record, path: Path) -> None:
        """The scores of one run beside its references."""
        spec = record.spec
        sets = list(record.scores)
        metrics = list(next(iter(record.scores.values())).mean)
        references = record.references
        rows = {
            "bicubic": references.bicubic,
            "bilinear": references.bilinear,
            f"{spec.method} {spec.bits}, {record.scope.short}": record.scores,
            "full precision (FP)": references.fp,
        }
        heads = [f"{name} {metric.upper()}" if len(sets) > 1 else metric.upper() for name in sets for metric in metrics]
        cells = [[_number(of[name], metric) for name in sets for metric in metrics] for of in rows.values()]
        table = Table(title=f"{spec.model} x{spec.scale}, suite {spec.suite}")
        if len(heads) <= len(rows):
            columns, lines = heads, [[label, *of] for label, of in zip(rows, cells, strict=True)]
        else:  # many test sets: a row for each, so that all digits fit
            columns, lines = list(rows), [[head, *of] for head, *of in zip(heads, *cells, strict=True)]
        table.add_column("")
        for column in columns:
            table.add_column(printable(column), justify="right", overflow="fold", min_width=WIDEST_NUMBER)
        for line in lines:
            table.add_row(*map(printable, line))
        self.out.print(table, width=None if self.out.is_terminal else UNLIMITED)
        seconds, memory = record.timings["total"], record.peak_memory_bytes / 2**30
        self.out.print(f"{seconds:.0f} s, {memory:.1f} GiB; record: {path}", soft_wrap=True)


class SweepLines:
    """The cells that are being measured, by their index, below the progress of the whole."""

    def __init__(self, live: Progress, whole: TaskID, say: Say) -> None:
        self._live, self._whole, self.say = live, whole, say
        self._tasks: dict[int, TaskID] = {}

    def running(self, index: int, cell: str, stage: str, done: int, total: int) -> None:
        """Show where a cell is."""
        if index not in self._tasks:
            self._tasks[index] = self._live.add_task(cell, note="")
        self._live.update(self._tasks[index], completed=done, total=total or None, note=TITLES.get(stage, stage))

    def ended(self, index: int, line: str, left: str) -> None:
        """A cell has ended; `left` is the time until all have."""
        if index in self._tasks:
            self._live.remove_task(self._tasks.pop(index))
        self._live.update(self._whole, advance=1, note=left)
        self.say(f"{line}; {left}")


def _number(scores: DatasetScores, metric: str) -> str:
    return f"{scores.mean[metric]:.{2 if metric == 'psnr' else 4}f}"
