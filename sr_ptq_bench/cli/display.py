"""The reporter of the command line: bars and lines on stderr, tables on stdout."""

from __future__ import annotations

import time
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ..errors import printable
from .loudness import loudness

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from ..progress import Progress as ShowProgress
    from ..progress import Say
    from ..records.record import Record
    from ..tables.formats import Cell, Page, Sheet

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
"""Columns of output that does not go to a terminal."""
WIDEST_NUMBER = 6
GAP = 1
STAGE, BAR, TIME = 27, 20, 7
"""Columns of the name of a stage, of its bar and of a time; with a note they fit into 80."""
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


class Display:
    """Progress on stderr, results on stdout."""

    def __init__(self, lines_on_stdout: bool = False) -> None:
        self.out = Console(highlight=False, markup=False)
        self.err = Console(stderr=True, highlight=False, markup=False)
        self._lines = self.out if lines_on_stdout else self.err
        self.quiet, self.verbose = loudness() == "quiet", loudness() == "verbose"
        self._open: Progress | None = None
        self._headed = False

    def say(self, line: str) -> None:
        """A line for the user; on stderr not with --quiet."""
        if not self.quiet or self._lines is self.out:
            self.warn(line)

    def warn(self, line: str) -> None:
        """A line that is said in any case."""
        self._lines.print(printable(line), soft_wrap=True)

    @contextmanager
    def stage(self, name: str) -> Iterator[ShowProgress]:
        """A bar that stays when the stage ends; a line if stderr is no terminal; nothing with --quiet."""
        title = TITLES.get(name, name)
        if not (self.quiet or self.err.is_terminal):
            self.err.print(title)
        begin, tenths = time.monotonic(), 0
        with self._bars() as live:
            self._head(live)
            pace = Pace()
            task = live.add_task(title, total=None, note="", pace=pace)

            def report(done: int, total: int, note: str = "") -> None:
                nonlocal tenths
                pace.report(done)
                if self.verbose and not self.err.is_terminal and total and 10 * done // total > tenths:
                    tenths = 10 * done // total
                    self.say(f"{title}: {done} of {total} {note}".rstrip())
                live.update(task, completed=done, total=total, note=note)

            yield report
            live.update(task, total=1, completed=1, note="")
        if self.verbose:
            self.say(f"{title}: {time.monotonic() - begin:.1f} s")

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """A sign of life on a terminal while libraries, network and images load."""
        if self.quiet or not self.err.is_terminal:
            yield
            return
        with self._bars() as live:
            task = live.add_task("Load libraries and images", total=None, note="", pace=Pace())
            try:
                yield
            finally:
                live.remove_task(task)

    def _head(self, live: Progress) -> None:
        """Headings above the first bar of a command."""
        if not (self._headed or self.quiet) and self.err.is_terminal:
            live.print(f"{'':<{STAGE}} {'':<{BAR}} {'elapsed':>{TIME}} {'left':>{TIME}}", style="dim")
        self._headed = True

    @contextmanager
    def _bars(self) -> Iterator[Progress]:
        """The bars of the stage that is open already, or new ones."""
        if self._open is not None:
            yield self._open
            return
        columns = (
            TextColumn(f"{{task.description:<{STAGE}}}", markup=False),
            BarColumn(BAR),
            TimeElapsedColumn(),
            TimeLeft(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        with Progress(*columns, console=self.err, disable=self.quiet or not self.err.is_terminal) as live:
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
        with Progress(*columns, note, console=self.err, disable=self.quiet or not self.err.is_terminal) as live:
            yield SweepLines(live, live.add_task("Sweep", total=cells, note=""), self.say)

    def page(self, page: Page) -> None:
        """A page of tables made for the width of this terminal: columns that do not fit are named below."""
        self.out.print(printable(page.title), style="bold")
        parts: list[Table | str] = [page.lead, *(part for sheet in page.sheets for part in self._sheet(sheet))]
        for part in filter(None, parts):
            self.out.print(printable(part) if isinstance(part, str) else part)
        for note in page.notes:
            self.out.print(f"- {printable(note)}")

    def _sheet(self, sheet: Sheet) -> Iterator[Table | str]:
        yield sheet.heading
        yield sheet.lead
        widths = [_width(sheet, index) for index in range(len(sheet.columns))]
        shown = set(range(len(widths)))
        for index in sorted(range(1, len(widths)), key=lambda index: _worth(sheet.columns[index].head)):
            if sum(widths[each] + GAP for each in shown) > self.out.width:
                shown.remove(index)
        table = Table(box=SIMPLE_HEAD, padding=(0, GAP, 0, 0), show_edge=False)
        for index in sorted(shown):
            column = sheet.columns[index]
            table.add_column(printable(column.head), justify=column.alignment, width=widths[index])
        for row in sheet.rows:
            table.add_row(*(_styled(row[index]) for index in sorted(shown)))
        yield table
        hidden = ", ".join(column.head for index, column in enumerate(sheet.columns) if index not in shown)
        yield f"Too narrow for: {hidden}; widen the terminal, or see the file." if hidden else ""

    def table(self, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Rows of text on stdout; if stdout is no terminal, no cell is cut."""
        table = Table()
        for title in header:
            table.add_column(title)
        for row in rows:
            table.add_row(*map(printable, row))
        self.out.print(table, width=None if self.out.is_terminal else UNLIMITED)

    def record(self, record: Record, path: Path, options: Sequence[str]) -> None:
        """The scores of one run beside its references, and what the user gave as options."""
        from ..records.summary import lost, score_table

        title, columns, lines = score_table(record)
        table = Table(title=title)
        table.add_column("")
        for column in columns:
            table.add_column(printable(column), justify="right", overflow="fold", min_width=WIDEST_NUMBER)
        for line in lines:
            table.add_row(*map(printable, line))
        self.out.print(table, width=None if self.out.is_terminal else UNLIMITED)
        for cost in lost(record):
            self.out.print(printable(cost), soft_wrap=True)
        self.out.print(printable(f"options: {', '.join(options) or 'defaults'}"), soft_wrap=True)
        seconds, memory = record.timings["total"], record.peak_memory_bytes / 2**30
        self.out.print(f"{seconds:.0f} s, {memory:.1f} GiB; record: {path}", soft_wrap=True)


def _worth(head: str) -> int:
    """What a narrow terminal leaves out first."""
    for worth, words in enumerate(("Speedup", "Compression", "Scope", "Against")):
        if words in head:
            return worth
    return len(head) + 10


def _width(sheet: Sheet, column: int) -> int:
    """The width of a column: heads break between words, cells never."""
    cells = ("".join(row[column]) for row in sheet.rows)
    return max([*map(cell_len, cells), *map(cell_len, sheet.columns[column].head.split())], default=1)


def _styled(cell: Cell) -> Text:
    from ..tables.formats import Bold

    parts = (cell,) if isinstance(cell, str) else cell
    return Text.assemble(*((printable(part), "bold" if isinstance(part, Bold) else "") for part in parts))


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
