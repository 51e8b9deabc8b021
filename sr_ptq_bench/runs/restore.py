"""Restores an earlier run: its spec from the record, its student from the state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import SrqError, prefix_error
from ..hooks.method import RecordedMethod
from ..hooks.resolve import resolve_method
from ..progress import TimedStages
from ..protocol.run_spec import RunSpec
from ..quantization.state.save_load import load_state
from ..records.files import name_of, read_record, read_result, state_path
from ..records.suite_name import suffix_of_tiles, suite_of
from . import identity
from .prepare import load_network, prepare
from .stages.calibration import calibrate_student

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ..hooks.plugins import Plugins
    from ..progress import Say
    from ..protocol.suite import Suite
    from ..quantization.student import Student
    from ..records.files import RunResult
    from ..records.record import Record
    from ..records.resolved import Hashes
    from .prepare import PreparedRun
    from .session import Session


def spec_of(record: Record, suite: Suite) -> RunSpec:
    """The run of a record under the suite that it names; raises SrqError for another suite.

    The suite may lack the test sets of `--test`: only a new scoring needs them. Its options do not count: the record
    has all of them but later ones at their default.
    """
    spec = record.spec
    if spec.tiles and not suite.tiles:
        suite = suite.with_tiles(spec.tiles)
    if suite.name == f"{suite_of(record)}{suffix_of_tiles(record)}":
        suite = suite.model_copy(update={"name": spec.suite})
    if suite.name != spec.suite:
        raise SrqError(f"the record is of suite '{spec.suite}', not of '{suite.name}'")
    options = {
        f"{plugin}.{key}": value
        for plugin, values in spec.options.items()
        for key, value in values.items()
        if isinstance(value, bool | int | float | str)  # None is an option that was not given
    }
    return RunSpec(
        method=spec.method,
        bits=spec.bits,
        scale=spec.scale,
        suite=suite.with_model(spec.model).model_copy(update={"options": {}}),
        scope=spec.scope,
        seed=spec.seed,
        options=options,
    )


def prepare_recorded(record: Record, suite: Suite, session: Session) -> PreparedRun:
    """The run of a record, ready to be scored again; raises SrqError if it is not the same run here.

    Plugins of its method may be missing: the state says what the student is.
    """
    spec = spec_of(record, suite)
    run = prepare(spec, session, _recorded_method(record, session.plugins))
    check_same(run, record)
    return run


def _recorded_method(record: Record, plugins: Plugins) -> RecordedMethod | None:
    """The method of a record if some of its plugins are missing: the others, each with the options of the record."""
    spec = record.spec
    if all(name in plugins.plugins for name in (*spec.parts, *spec.method.split("+"))):
        return None
    given: dict[str, dict[str, Any]] = {
        part: {key: value for key, value in spec.options.get(part, {}).items() if value is not None}
        for part in spec.parts
        if part in plugins.plugins
    }
    options = {part: plugins.options(part, values) for part, values in given.items()}
    return RecordedMethod(spec.method, spec.parts, plugins, options, values=spec.options)


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
    """The student that was scored; the method is needed only for its own classes of quantizers."""
    with prefix_error(f"state of {name_of(result.record)}"):
        return load_state(result.state, run.teacher, run.method.make_quantizer)


def restore_recorded(result: RunResult, suite: Suite, session: Session) -> Student:
    """The student of a result on the session's device, without the images of its suite; raises SrqError."""
    record = result.record
    spec = spec_of(record, suite)
    teacher, _, _ = load_network(spec, session)
    method = _recorded_method(record, session.plugins) or resolve_method(session.plugins, spec.method, spec.options)
    with prefix_error(f"state of {name_of(record)}"):
        return load_state(result.state, teacher.to(session.device), method.make_quantizer)


def load_or_calibrate(run: PreparedRun, session: Session, results: Path) -> Student:
    """The student that a run ends with: restored if there is a result of it, else calibrated now.

    Results are looked for in the folder `results` and in this machine's memory; a damaged one is named and not used. A
    calibration that is killed continues.
    """
    stored = _stored(results / run.record_name, session.reporter.say) or session.cache.result(run.record_name)
    if stored:
        return restore_student(run, stored)
    stage = TimedStages(session.reporter)
    with session.cache.resume_state(identity.calibrated_state(run), fresh=False) as resume:
        calibrated = resume.calibrated() or calibrate_student(run, session.cache, stage, resume, fresh=False)
    return load_state(calibrated.state, run.teacher, run.method.make_quantizer)


def _stored(path: Path, say: Say) -> RunResult | None:
    """The result with the record at `path`; None if record or state is missing, or damaged: `say` tells it."""
    try:
        if path.is_file() and state_path(path, read_record(path)).is_file():
            return read_result(path)
    except SrqError as error:
        say(f"Not used: {error}")
    return None
