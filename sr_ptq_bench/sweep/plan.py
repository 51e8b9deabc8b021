"""From cells to work: every cell is checked, the name of its record is found, and finished cells are recognised."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from ..errors import SrqError, prefix_error
from ..hooks.resolve import options_by_method, over_defaults
from ..records.files import RunResult, fault_of, read_result
from ..runs.measure import is_current
from .grid import Cell, given_twice
from .worker import Task

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ..hooks.plugins import Plugins
    from ..progress import Progress
    from ..records.resolved import ResolvedSpec
    from ..runs.prepare import PreparedRun
    from .worker import Preparer


@dataclass(frozen=True)
class Planned:
    """A cell that has passed all checks.

    `done` says whether there is a record already; `remembered` is that record if it is not in `folder`. `foreign` is as
    in `Task`.
    """

    cell: Cell
    spec: ResolvedSpec
    record: str
    folder: Path
    not_scored: tuple[str, ...]
    done: bool
    foreign: bool = False
    remembered: RunResult | None = None

    @property
    def task(self) -> Task:
        """The task for an engine."""
        return Task(self.cell, self.record, self.foreign)


def plan(
    cells: Sequence[Cell], prepare: Preparer, out: Path, force: bool, device: str | None, progress: Progress
) -> list[Planned]:
    """Prepare every cell; raises SrqError that names the first that cannot be measured or is given twice.

    Results of this `device` (None: of any device) are not measured again.
    """
    planned: dict[str, Planned] = {}
    cache = prepare.session.cache
    for index, cell in enumerate(with_own_options(cells, prepare.session.plugins)):
        progress(index, len(cells), str(cell))
        with prefix_error(f"cell {cell}"):
            run = prepare(cell)
        if run.record_name in planned:
            raise given_twice(cell)
        folder = out / "results" / run.resolved.suite
        name = run.record_name
        found = _read(folder / name)
        here = None if force else _current(found, run, device)
        remembered = None if here or force else _current(cache.result(name), run, device)
        done = here is not None or remembered is not None
        foreign = any(not run.plugins.plugins[of].is_built_in() for of in run.method.components)
        planned[name] = Planned(cell, run.resolved, name, folder, run.not_scored, done, foreign, remembered)
    return list(planned.values())


def _read(path: Path) -> RunResult | None:
    """A result with the right file name; None for anything else. Raises ForeignRecordError for one that stays."""
    if fault_of(path) is None:
        with suppress(SrqError):
            return read_result(path)
    return None


def _current(result: RunResult | None, run: PreparedRun, device: str | None) -> RunResult | None:
    return result if result and is_current(result.record, run, device) else None


def with_own_options(cells: Sequence[Cell], plugins: Plugins) -> list[Cell]:
    """The cells, each with the options that its method has: its own over those of the file.

    Raises SrqError for an option that no method has, of the file or of the cells that it is given to.
    """
    of_file = options_by_method(plugins, (cell.method for cell in cells), cells[0].defaults)
    found = []
    for _, group in groupby(cells, lambda cell: cell.entry):
        same = list(group)
        own = options_by_method(plugins, (cell.method for cell in same), same[0].options)
        for cell in same:
            options = over_defaults(plugins, cell.method, own[cell.method], of_file[cell.method])
            found.append(cell.model_copy(update={"options": options, "defaults": {}}))
    return found
