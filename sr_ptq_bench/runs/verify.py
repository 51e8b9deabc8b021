"""Whether the state of a record gives the scores of the record."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..errors import SrqError
from ..records.compare import compare
from ..records.record import Stamp
from . import identity
from .environment import describe
from .restore import restore_student
from .run import score_student

if TYPE_CHECKING:
    from ..quantization.student import Student
    from ..records.compare import Comparison
    from ..records.files import RunResult
    from ..records.record import Record
    from .prepare import PreparedRun
    from .session import Session


def verify(run: PreparedRun, result: RunResult, session: Session) -> list[Comparison]:
    """Score the student of a result again, and compare the scores with those of the record; raises SrqError.

    A state with other bits at a site than the record says is refused, and so is one with more levels than its bits
    allow, unless record and quantizer say so.
    """
    student = restore_student(run, result)
    check_bits(result.record, student)
    with session.reporter.stage("evaluate") as progress:
        scores, most_levels = score_student(run, student, progress)
    if most_levels and not result.record.most_levels:
        counted = f"{most_levels.levels} levels at {most_levels.bits} bits"
        raise SrqError(f"site {most_levels.site} has {counted}; the record does not say that levels are not bounded")
    return compare(result.record.scores, scores)


def check_bits(record: Record, student: Student) -> None:
    """Raise SrqError for the first site whose bits, and so whose number of levels, are not those of the record."""
    for name, quantizer in student.quantizers.items():
        said = record.site_bits.get(name, record.spec.bits.of(quantizer.site.role))
        if quantizer.bits != said:
            raise SrqError(f"site {name} has {quantizer.bits} bits in the state and {said} in the record")


def stamped(run: PreparedRun, record: Record) -> Record:
    """The record with a stamp: the code and the versions that have just given the same scores."""
    versions = describe(run.method, "cpu", run.teacher.libraries).versions
    now = datetime.now(UTC).replace(microsecond=0)
    return record.model_copy(update={"stamp": Stamp(code=identity.code(run), versions=versions, created=now)})
