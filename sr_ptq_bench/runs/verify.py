"""Whether the state of a record gives the scores of the record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..records.record import Stamp
from . import identity
from .environment import describe
from .restore import restore_student
from .run import score_student

if TYPE_CHECKING:
    from ..records.files import RunResult
    from ..records.record import Record
    from ..records.scores import Scores
    from .prepare import PreparedRun
    from .session import Session

TOLERANCE = {"psnr": 0.005, "ssim": 0.00005}
"""Half of the last printed digit: another processor or number of threads may change the digits behind it."""
OF_OTHER_METRICS = 1e-6


@dataclass(frozen=True)
class Comparison:
    """One mean score, recorded and measured again."""

    dataset: str
    metric: str
    recorded: float
    again: float

    @property
    def difference(self) -> float:
        """Again minus recorded; 0 where both are infinite."""
        return 0.0 if self.again == self.recorded else self.again - self.recorded

    @property
    def holds(self) -> bool:
        """Whether the printed digits agree but for rounding."""
        return abs(self.difference) <= TOLERANCE.get(self.metric, OF_OTHER_METRICS)


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


def compare(recorded: Scores, again: Scores) -> list[Comparison]:
    """All mean scores side by side."""
    return [
        Comparison(dataset, metric, value, again[dataset].mean[metric])
        for dataset, scores in recorded.items()
        for metric, value in scores.mean.items()
    ]
