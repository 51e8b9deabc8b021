"""The reporter of the command line: bars and lines on stderr, tables on stdout."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ..errors import printable
from .show.pages import show_page
from .show.stages import TITLES
from .show.sweep_lines import SweepLines
from .show.time_left import TIME, Pace, TimeLeft

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from ..progress import Progress as ShowProgress
    from ..records.record import Record
    from ..records.scores import DatasetScores
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
        show_page(page, self.out)

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


def _number(scores: DatasetScores, metric: str) -> str:
    return f"{scores.mean[metric]:.{2 if metric == 'psnr' else 4}f}"
