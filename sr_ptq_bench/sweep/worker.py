"""What measures a cell, in whatever process an engine puts it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ..bench import measure
from ..cache import Cache
from ..data.library import Library
from ..environment import choose_device, describe
from ..errors import SrqError
from ..home import default_home
from ..manager import Plugins
from ..preparation import prepare, with_method

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from ..hookspecs import Progress
    from ..preparation import Run
    from ..records import Measured
    from .grid import Cell


@dataclass(frozen=True)
class Setup:
    """What all cells of a sweep have in common: plugin files, device, threads, and whether to measure regardless."""

    plugins: tuple[Path, ...] = ()
    device: str = "auto"
    threads: int = 1
    force: bool = False


@dataclass(frozen=True)
class Task:
    """A cell, and the name of the record that it must give."""

    cell: Cell
    record: str


class Preparer:
    """Prepares cell after cell; network and images are read anew only where a cell has others than the last."""

    def __init__(self, plugins: Plugins, device: str, library: Library) -> None:
        self.plugins, self.device, self.library = plugins, device, library
        self._last: tuple[object, Run] | None = None

    def __call__(self, cell: Cell) -> Run:
        """The cell's run, ready to be measured; raises SrqError."""
        spec = cell.spec()
        if self._last and self._last[0] == cell.protocol:
            return with_method(self._last[1], spec)
        self._last = None  # frees the network before the next is read
        run = prepare(spec, self.plugins, self.device, self.library)
        self._last = cell.protocol, run
        return run


class Worker:
    """Measures cells one after the other, as `srq run` does, and remembers them as runs of this machine."""

    def __init__(self, setup: Setup) -> None:
        torch.set_num_threads(setup.threads)
        home = default_home()
        self.setup, self.cache = setup, Cache(home)
        self.prepare = Preparer(Plugins(setup.plugins), choose_device(setup.device), Library(home))

    def measure(self, task: Task, show: Callable[[str], AbstractContextManager[Progress]]) -> Measured:
        """Measure a cell unless this machine has; raises SrqError where the record would be another than planned."""
        run = self.prepare(task.cell)
        if run.record_name != task.record:
            raise SrqError(
                f"the worker would make {run.record_name} and not {task.record}: its weights, images or plugins are "
                "others than where the sweep was started"
            )
        with self.cache.locked(task.record, "makes the same run"):
            known = None if self.setup.force else self.cache.measured(task.record)
            if known and made_by_this_software(known, run):
                return known
            measured = measure(run, self.cache, show)
            self.cache.keep(measured)
            return measured


def made_by_this_software(measured: Measured | None, run: Run) -> bool:
    """Whether there is a record made by the versions installed here; its machine, device and threads may be others."""
    return (
        measured is not None
        and measured.record.environment.versions == describe(run.method, "cpu", run.model.libraries).versions
    )
