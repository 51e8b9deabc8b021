"""An earlier run again: its spec from its record, its student from the state beside the record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import SrqError, prefix_error
from ..hooks.method import RecordedMethod
from ..progress import TimedStages
from ..protocol.run_spec import RunSpec
from ..quantization.state.save_load import load_state
from ..records.files import read_record, read_result, state_path
from . import identity
from .prepare import prepare
from .run import calibrate_student

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ..protocol.suite import Suite
    from ..quantization.student import Student
    from ..records.files import RunResult
    from ..records.record import Record
    from ..records.resolved import Hashes
    from .prepare import PreparedRun
    from .session import Session


def spec_of(record: Record, suite: Suite) -> RunSpec:
    """The run that a record is of, under the suite that it names; raises SrqError for another suite."""
    spec = record.spec
    if spec.tiles and not suite.tiles:
        suite = suite.with_tiles(spec.tiles)
    if suite.name != spec.suite:
        raise SrqError(f"the record is of suite '{spec.suite}', not of '{suite.name}'")
    options = {
        f"{plugin}.{key}": value
        for plugin, values in spec.options.items()
        for key, value in values.items()
        if isinstance(value, bool | int | float | str)  # None stands for an option that was not given
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


def prepare_recorded(record: Record, suite: Suite, session: Session) -> PreparedRun:
    """The run of a record, ready to be scored again; raises SrqError if it is not the same run here.

    Plugins of its method may be missing: the state says what the student is.
    """
    spec = spec_of(record, suite)
    missing = [name for name in record.spec.parts if name not in session.plugins.plugins]
    method = RecordedMethod(record.spec.method, record.spec.parts, session.plugins, values=record.spec.options)
    run = prepare(spec, session, method if missing else None)
    check_same(run, record)
    return run


def suite_of(record: Record) -> str:
    """The name of the suite without what tiles add to it."""
    tiles = record.spec.tiles
    return record.spec.suite.removesuffix(f"-tile{tiles.size}-{tiles.overlap}") if tiles else record.spec.suite


def check_same(run: PreparedRun, record: Record) -> None:
    """Raise SrqError if the run is not that of the record, naming what differs.

    The code of the method's own plugins does not count: it chose the state, and the state is known.
    """
    mine, theirs = (
        _leaves({"spec": spec.model_dump(), "hashes": _without(hashes, record.spec.parts)})
        for spec, hashes in ((run.resolved, run.hashes), (record.spec, record.hashes))
    )
    for key in [*theirs, *mine]:
        if mine.get(key) != theirs.get(key):
            raise SrqError(f"not the same run: {key} is {mine.get(key)} here and {theirs.get(key)} in the record")


def _without(hashes: Hashes, plugins: Sequence[str]) -> dict[str, object]:
    others = {name: sha256 for name, sha256 in hashes.plugins.items() if name not in plugins}
    return hashes.model_dump() | {"plugins": others}


def _leaves(value: object, key: str = "") -> dict[str, object]:
    """The values of nested tables by their dotted keys."""
    if not isinstance(value, dict):
        return {key: value}
    inner = (_leaves(of, f"{key}.{name}" if key else str(name)) for name, of in value.items())
    return {name: of for leaves in inner for name, of in leaves.items()}


def restore_student(run: PreparedRun, result: RunResult) -> Student:
    """The student that was scored; the run needs its method only for kinds of quantizers of its own."""
    with prefix_error(f"state of {run.record_name}"):
        return load_state(result.state, run.teacher, run.method.make_quantizer)


def load_or_calibrate(run: PreparedRun, session: Session, results: Path) -> Student:
    """The student that a run ends with: restored if there is a result of it, else calibrated now.

    Results are looked for in the folder `results` and in this machine's memory. A calibration that is killed continues.
    """
    stored = _stored(results / run.record_name) or session.cache.result(run.record_name)
    if stored:
        return restore_student(run, stored)
    stage = TimedStages(session.reporter)
    with session.cache.resume_state(identity.calibrated_state(run), fresh=False) as resume:
        calibrated = resume.calibrated() or calibrate_student(run, session.cache, stage, resume, fresh=False)
    return load_state(calibrated.state, run.teacher, run.method.make_quantizer)


def _stored(path: Path) -> RunResult | None:
    """The result whose record is at `path`; None if there is no record, or no state beside it."""
    if path.is_file() and state_path(path, read_record(path)).is_file():
        return read_result(path)
    return None
