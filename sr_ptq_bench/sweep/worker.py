"""Measures a cell, in any process of an engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import SrqError
from ..runs.measure import measure_or_reuse
from ..runs.prepare import prepare, with_method
from ..runs.session import Session

if TYPE_CHECKING:
    from pathlib import Path

    from ..progress import Reporter
    from ..records.files import RunResult
    from ..runs.prepare import PreparedRun
    from .grid import Cell


@dataclass(frozen=True)
class WorkerConfig:
    """What all cells of a sweep share: plugin files, device, threads, and whether to ignore earlier results."""

    plugins: tuple[Path, ...] = ()
    device: str = "auto"
    threads: int = 1
    force: bool = False


@dataclass(frozen=True)
class Task:
    """A cell, and the name of the record that it must give.

    `foreign`: a plugin of others takes part, which may leave something behind; its process ends with the cell.
    """

    cell: Cell
    record: str
    foreign: bool = False


class Preparer:
    """Prepares cell after cell; network and images are read again only if they differ from those of the last cell."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._last: tuple[object, PreparedRun] | None = None

    def __call__(self, cell: Cell) -> PreparedRun:
        """The cell's run, ready to be measured; raises SrqError."""
        spec = cell.spec()
        if self._last and self._last[0] == cell.protocol:
            return with_method(self._last[1], spec)
        self._last = None  # frees the network before the next is read
        run = prepare(spec, self.session)
        self._last = cell.protocol, run
        return run


class Worker:
    """Measures cells one after the other, as `srq run` does, and remembers them as runs of this machine."""

    def __init__(self, config: WorkerConfig, reporter: Reporter) -> None:
        self.config = config
        self.session = Session.open(reporter, config.plugins, config.device, config.threads)
        self.prepare = Preparer(self.session)

    def measure(self, task: Task) -> RunResult:
        """Measure a cell unless this machine has; raises SrqError if the record would be another than planned."""
        run = self.prepare(task.cell)
        if run.record_name != task.record:
            raise SrqError(
                f"the worker would make {run.record_name} and not {task.record}: its weights, images or plugins differ "
                "from those on the machine that started the sweep"
            )
        return measure_or_reuse(run, self.session, self.config.force)
