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

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from ..progress import Progress as ShowProgress
    from ..progress import Say
    from ..records.record import Record
    from ..records.scores import DatasetScores
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
        self._open: Progress | None = None
        self._headed = False

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
            self._head(live)
            pace = Pace()
            task = live.add_task(title, total=None, note="", pace=pace)

            def report(done: int, total: int, note: str = "") -> None:
                pace.report(done)
                live.update(task, completed=done, total=total, note=note)

            yield report
            live.update(task, total=1, completed=1, note="")

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """A sign of life on a terminal while libraries, network and images load."""
        if not self.err.is_terminal:
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
        if not self._headed and self.err.is_terminal:
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
        for cost in lost(record):
            self.out.print(printable(cost), soft_wrap=True)
        self.out.print(printable(f"options: {', '.join(options) or 'defaults'}"), soft_wrap=True)
        seconds, memory = record.timings["total"], record.peak_memory_bytes / 2**30
        self.out.print(f"{seconds:.0f} s, {memory:.1f} GiB; record: {path}", soft_wrap=True)


def lost(record: Record) -> Iterator[str]:
    """What quantization cost, a line per test set; another one where plain interpolation is better."""
    references = record.references
    for name in record.scores:
        psnr, fp, bicubic = (of[name].mean.get("psnr") for of in (record.scores, references.fp, references.bicubic))
        if psnr is None or fp is None or bicubic is None:
            continue
        yield f"{name}: {psnr - fp:+.2f} dB against FP, {psnr - bicubic:+.2f} dB against bicubic"
        if psnr < bicubic:
            yield f"{name}: below bicubic: the quantized network is worse than plain interpolation"


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


def _number(scores: DatasetScores, metric: str) -> str:
    return f"{scores.mean[metric]:.{2 if metric == 'psnr' else 4}f}"
