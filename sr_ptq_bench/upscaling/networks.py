"""The network that photos go through: of a record, by a method, or one that is installed with srq."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import SrqError
from ..quantization.state.save_load import load_state
from ..quantization.student import hold_quantized_weights
from ..records.files import read_result
from ..records.suite_name import load_suite_of
from ..runs.prepare import load_network, prepare
from ..runs.restore import load_or_calibrate, restore_recorded
from ..storage.files import read_whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocol.run_spec import RunSpec
    from ..quantization.network import SRModel
    from ..quantization.student import Student
    from ..runs.session import Session

STATES = Path(__file__).parents[1] / "states"
"""The quantized networks that are installed with srq."""
LARGEST_STATE = 2**26
"""Bytes."""


def recorded(record: Path, suite: str | None, session: Session) -> SRModel:
    """The network of a record, from the state beside it; `suite` is the file of a suite that is not built in."""
    result = read_result(record)
    student = restore_recorded(result, load_suite_of(result.record, suite), session)
    return _held(student, result.record.spec.seed)


def calibrated(spec: RunSpec, suits: Callable[[SRModel], None], session: Session, results: Path) -> SRModel:
    """The network by a method, calibrated now if it was not yet: see `load_or_calibrate`.

    `suits` looks at the network before that, since a calibration may take minutes.
    """
    run = prepare(spec, session)
    suits(run.teacher)
    return _held(load_or_calibrate(run, session, results), spec.seed)


def full_precision(spec: RunSpec, session: Session) -> SRModel:
    """The FP network of a run."""
    teacher, _, _ = load_network(spec, session)
    return teacher.to(session.device)


def installed(spec: RunSpec, session: Session) -> SRModel:
    """The quantized network that is installed with srq; raises SrqError for other networks and bits."""
    if (spec.suite.name, spec.suite.model, str(spec.bits)) != ("sample", "dat-light", "w4a4"):
        raise SrqError("only DAT-light at 4 bits is built in; name a --method, or give --fp")
    teacher, _, _ = load_network(spec, session)
    state = read_whole(STATES / f"dat_light_x{spec.scale}_cotrain_w4a4.safetensors", LARGEST_STATE)
    return load_state(state, teacher).model.to(session.device)


def _held(student: Student, seed: int) -> SRModel:
    """The network of a student with the weights that were scored: one that rounds by chance has others in each pass."""
    hold_quantized_weights(student, seed)
    return student.model
