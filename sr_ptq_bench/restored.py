"""A run of the past again: its spec from its record, its student from the bounds that lie beside that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from .bench import Stages, calibrated, new_student, unfinished_of
from .errors import SrqError
from .records import bounds_path, read_record
from .spec import RunSpec
from .stored_bounds import bounds_sha256, restore

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from .cache import Cache
    from .hookspecs import Progress
    from .model import Student
    from .preparation import Run
    from .schema import Record
    from .spec import Suite

    Show = Callable[[str], AbstractContextManager[Progress]]


def spec_of(record: Record, suite: Suite) -> RunSpec:
    """The run that a record is of, under the suite that it names; raises SrqError for another suite."""
    spec = record.spec
    if spec.tiles and not suite.tiles:
        suite = suite.with_tiles(spec.tiles)
    if suite.name != spec.suite:
        raise SrqError(f"the record is of suite '{spec.suite}', not of '{suite.name}'")
    options = {
        f"{part}.{key}": value
        for part, values in spec.options.items()
        for key, value in values.items()
        if isinstance(value, bool | int | float | str)  # None is what stands where nothing is given
    }
    return RunSpec(
        method=spec.method,
        bits=spec.bits,
        scale=spec.scale,
        suite=suite.with_model(spec.model),
        scope=spec.scope,
        seed=spec.seed,
        options=options,
    )


def suite_of(record: Record) -> str:
    """The name of the suite without what tiles add to it."""
    tiles = record.spec.tiles
    return record.spec.suite.removesuffix(f"-tile{tiles.size}-{tiles.overlap}") if tiles else record.spec.suite


def check_same(run: Run, record: Record) -> None:
    """Raise SrqError where the run that this machine would make today is not the record's, naming what differs."""
    sides = ((run.portable, run.hashes), (record.spec, record.hashes))
    mine, theirs = (_leaves({"spec": spec.model_dump(), "hashes": hashes.model_dump()}) for spec, hashes in sides)
    for key in [*theirs, *mine]:
        if mine.get(key) != theirs.get(key):
            raise SrqError(f"not the same run: {key} is {mine.get(key)} here and {theirs.get(key)} in the record")


def _leaves(value: object, key: str = "") -> dict[str, object]:
    """The values of nested tables by their dotted keys."""
    if not isinstance(value, dict):
        return {key: value}
    inner = (_leaves(of, f"{key}.{name}" if key else str(name)) for name, of in value.items())
    return {name: of for leaves in inner for name, of in leaves.items()}


def student_of(run: Run, record: Path, show: Show) -> Student:
    """The student that the run of a record ended with; raises SrqError unless the bounds beside it are the record's.

    The method's rewriting of weights is repeated; only bounds come from the file.
    """
    torch.manual_seed(run.spec.seed)
    student = new_student(run, Stages(show))
    restore(student, bounds_path(record))
    if bounds_sha256(student) != read_record(record).bounds_sha256:
        raise SrqError(f"bounds {bounds_path(record)} are not those of the record beside them; measure again")
    return student


def final_student(run: Run, results: Path, cache: Cache, show: Show) -> Student:
    """The student that a run ends with: restored where its bounds are kept, else calibrated now.

    They are kept beside the records in `results`, and beside those that this machine has made.
    """
    for folder in (results, cache.records):
        record = folder / run.record_name
        if record.is_file() and bounds_path(record).is_file():
            return student_of(run, record, show)
    torch.manual_seed(run.spec.seed)
    return calibrated(run, cache, unfinished_of(run, cache), Stages(show))[0]
