"""What a run shows: a bar per stage, and a small table at the end."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from ..hookspecs import Progress as Report
    from ..schema import DatasetScores, Record

TITLES = {
    "score fp": "Score the FP network",
    "score bicubic": "Score bicubic",
    "score bilinear": "Score bilinear",
    "transform": "Rewrite weights",
    "observe": "Observe distributions",
    "bounds": "Choose bounds",
    "calibrate": "Calibrate",
    "evaluate": "Score the quantized network",
}


class Display:
    """Progress on stderr, results on stdout."""

    def __init__(self) -> None:
        self.out = Console(highlight=False, markup=False)
        self.err = Console(stderr=True, highlight=False, markup=False)

    def print(self, text: str) -> None:
        """A line for the user's eyes."""
        self.err.print(text, soft_wrap=True)

    @contextmanager
    def stages(self) -> Iterator[Callable[[str], AbstractContextManager[Report]]]:
        """A live list of the stages; on a stderr that is no terminal, a line as each begins."""
        columns = (
            TextColumn("{task.description:<28}", markup=False),
            BarColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        live = Progress(
            *columns,
            TextColumn("{task.fields[note]}", markup=False),
            console=self.err,
            disable=not self.err.is_terminal,
        )

        @contextmanager
        def show(name: str) -> Iterator[Report]:
            title = TITLES.get(name, name)
            if not self.err.is_terminal:
                self.err.print(title)
            task = live.add_task(title, total=None, note="")

            def report(done: int, total: int, note: str = "") -> None:
                live.update(task, completed=done, total=total, note=note)

            yield report
            live.update(task, total=1, completed=1, note="")

        with live:
            yield show

    @contextmanager
    def stage(self, name: str) -> Iterator[Report]:
        """A stage that stands alone."""
        with self.stages() as show, show(name) as report:
            yield report

    def record(self, record: Record, path: Path) -> None:
        """The scores of one run beside its references."""
        spec = record.spec
        sets = list(record.scores)
        metrics = list(next(iter(record.scores.values())).mean)
        table = Table(title=f"{spec.model} x{spec.scale}, suite {spec.suite}")
        table.add_column("")
        for name in sets:
            for metric in metrics:
                table.add_column(f"{name} {metric.upper()}" if len(sets) > 1 else metric.upper(), justify="right")
        references = record.references
        rows = {
            "bicubic": references.bicubic,
            "bilinear": references.bilinear,
            f"{spec.method} {spec.bits}, {record.scope.short}": record.scores,
            "full precision (FP)": references.fp,
        }
        for label, scores in rows.items():
            table.add_row(label, *(_number(scores[name], metric) for name in sets for metric in metrics))
        self.out.print(table)
        seconds, memory = record.timings["total"], record.peak_memory_bytes / 2**30
        self.out.print(f"{seconds:.0f} s, {memory:.1f} GiB; record: {path}", soft_wrap=True)


def _number(scores: DatasetScores, metric: str) -> str:
    return f"{scores.mean[metric]:.{2 if metric == 'psnr' else 4}f}"
