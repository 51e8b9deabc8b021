"""Whether the state of a record gives the scores of the record."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..records.compare import compare
from ..records.record import Stamp
from . import identity
from .environment import describe
from .restore import restore_student
from .run import score_student

if TYPE_CHECKING:
    from ..records.compare import Comparison
    from ..records.files import RunResult
    from ..records.record import Record
    from .prepare import PreparedRun
    from .session import Session


def verify(run: PreparedRun, result: RunResult, session: Session) -> list[Comparison]:
    """Score the student of a result again, and compare the scores with those of the record; raises SrqError."""
    student = restore_student(run, result)
    with session.reporter.stage("evaluate") as progress:
        return compare(result.record.scores, score_student(run, student, progress))


def stamped(run: PreparedRun, record: Record) -> Record:
    """The record with a stamp: the code and the versions that have just given the same scores."""
    versions = describe(run.method, "cpu", run.teacher.libraries).versions
    now = datetime.now(UTC).replace(microsecond=0)
    return record.model_copy(update={"stamp": Stamp(code=identity.code(run), versions=versions, created=now)})
