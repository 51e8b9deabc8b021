"""The reporter of the command line: bars and lines on stderr, tables on stdout."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ..errors import printable
from .loudness import loudness
from .show.pages import show_page
from .show.stages import TITLES
from .show.sweep_lines import SweepLines
from .show.time_left import TIME, Pace, TimeLeft

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from ..progress import Progress as ShowProgress
    from ..records.record import Record
    from ..tables.formats import Page

UNLIMITED = 1000
"""Columns of output that does not go to a terminal."""
WIDEST_NUMBER = 6
STAGE, BAR = 27, 20
"""Columns of the name of a stage and of its bar; with two times and a note they fit into 80."""


class Display:
    """Progress on stderr, results on stdout."""

    def __init__(self, lines_on_stdout: bool = False) -> None:
        self.out = Console(highlight=False, markup=False)
        if not self.out.is_terminal:
            self.out.width = UNLIMITED
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
        show_page(page, self.out)

    def table(self, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Rows of text on stdout; no cell is cut."""
        table = Table()
        for title in header:
            table.add_column(title, overflow="fold")
        for row in rows:
            table.add_row(*map(printable, row))
        self.out.print(table)

    def record(self, record: Record, path: Path, options: str) -> None:
        """The scores of one run beside its references, and its options in words."""
        from ..records.summary import lost

        self._scores(record)
        for cost in lost(record):
            self.out.print(printable(cost), soft_wrap=True)
        self.out.print(printable(f"options: {options}"), soft_wrap=True)
        seconds, memory = record.timings["total"], record.peak_memory_bytes / 2**30
        self.out.print(f"{seconds:.0f} s, {memory:.1f} GiB; record: {path}", soft_wrap=True)

    def _scores(self, record: Record) -> None:
        """A table, or, where the terminal is too narrow for its numbers, a line for each."""
        from ..records.summary import score_table

        title, columns, lines = score_table(record)
        table = Table(title=title)
        table.add_column("", overflow="fold")
        for column in columns:
            table.add_column(printable(column), justify="right", overflow="fold", min_width=WIDEST_NUMBER)
        for line in lines:
            table.add_row(*map(printable, line))
        if self.out.measure(table, options=self.out.options.update(width=UNLIMITED)).minimum <= self.out.width:
            self.out.print(table)
            return
        self.out.print(title)
        for label, *scores in lines:
            self.out.print(printable(label))
            for column, score in zip(columns, scores, strict=True):
                self.out.print(f"{score:>{WIDEST_NUMBER + 2}} {printable(column)}")
