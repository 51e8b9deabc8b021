"""A run of the past again: its spec from its record, its student from its stored bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .bench import bare_student
from .errors import SrqError
from .spec import RunSpec
from .stored_bounds import restore

if TYPE_CHECKING:
    from pathlib import Path

    from .bench import Run
    from .model import Student
    from .schema import Record
    from .spec import Suite


def spec_of(record: Record, suite: Suite) -> RunSpec:
    """The run that a record is of, under the suite that it names; raises SrqError for another suite."""
    spec = record.spec
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


def student_of(run: Run, bounds: Path) -> Student:
    """The quantized network of a run with the bounds of a file; raises SrqError where they do not fit."""
    student = bare_student(run)
    restore(student, bounds)
    return student
