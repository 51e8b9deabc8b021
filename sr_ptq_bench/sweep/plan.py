"""From cells to work: every cell is checked, its record's name found, and what is done already recognised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..choice import own_options
from ..errors import SrqError
from ..records import Measured, bounds_path, name_of, read_record
from .grid import Cell, given_twice
from .worker import Task, made_by_this_software

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ..cache import Cache
    from ..hookspecs import Progress
    from ..manager import Plugins
    from ..schema import PortableSpec
    from .worker import Preparer


@dataclass(frozen=True)
class Planned:
    """A cell that has passed all checks.

    `done` says whether there is a record already, `remembered` is that record where it is not in `folder`.
    """

    cell: Cell
    spec: PortableSpec
    record: str
    folder: Path
    not_scored: tuple[str, ...]
    done: bool
    remembered: Measured | None = None

    @property
    def task(self) -> Task:
        """What an engine gets."""
        return Task(self.cell, self.record)


def plan(
    cells: Sequence[Cell], prepare: Preparer, out: Path, cache: Cache, force: bool, progress: Progress
) -> list[Planned]:
    """Prepare every cell; raises SrqError that names the first that cannot be measured or is given twice."""
    planned: dict[str, Planned] = {}
    for index, cell in enumerate(with_own_options(cells, prepare.plugins)):
        progress(index, len(cells), str(cell))
        try:
            run = prepare(cell)
        except SrqError as error:
            raise SrqError(f"cell {cell}: {error}") from error
        if run.record_name in planned:
            raise given_twice(cell)
        folder = out / "results" / run.portable.suite
        record = run.record_name
        here = not force and made_by_this_software(_read(folder / record), run)
        memory = None if here or force else cache.measured(record)
        remembered = memory if made_by_this_software(memory, run) else None
        planned[record] = Planned(
            cell, run.portable, record, folder, run.not_scored, here or remembered is not None, remembered
        )
    return list(planned.values())


def _read(path: Path) -> Measured | None:
    """A record that bears its name, with its bounds beside it; None for anything else."""
    try:
        measured = Measured(read_record(path), bounds_path(path).read_bytes())
    except (SrqError, OSError):
        return None
    return measured if name_of(measured.record) == path.name else None


def with_own_options(cells: Sequence[Cell], plugins: Plugins) -> list[Cell]:
    """The cells, each with those options that its method has; raises SrqError for an option that none of them has."""
    everything = {key: value for cell in cells for key, value in cell.options.items()}
    owned = own_options(plugins, (cell.method for cell in cells), everything)
    return [
        cell.model_copy(update={"options": {key: v for key, v in cell.options.items() if key in owned[cell.method]}})
        for cell in cells
    ]
