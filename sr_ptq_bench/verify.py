"""Do the scores of a record come back from the bounds that are stored beside it?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .bench import scores_of
from .errors import SrqError
from .records import bounds_path, name_of, read_record
from .restored import check_same, student_of

if TYPE_CHECKING:
    from pathlib import Path

    from .preparation import Run
    from .restored import Show
    from .schema import Record, Scores

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


def read_verifiable(path: Path) -> Record:
    """A record with bounds beside it; raises SrqError where the name, the record or the bounds are missing or wrong."""
    record = read_record(path)
    expected = name_of(record)
    if path.name != expected:
        raise SrqError(f"record {path} holds the run that belongs into {expected}")
    if not bounds_path(path).is_file():
        raise SrqError(f"record {path} has no bounds beside it, {bounds_path(path).name}; measure it again")
    return record


def verify(run: Run, record: Record, path: Path, show: Show) -> list[Comparison]:
    """Score the student of the stored bounds anew, beside the record at `path`.

    Raises SrqError where run or bounds are not those of the record.
    """
    check_same(run, record)
    student = student_of(run, path, show)
    with show("evaluate") as progress:
        return compare(record.scores, scores_of(run, student, progress))


def compare(recorded: Scores, again: Scores) -> list[Comparison]:
    """All mean scores side by side."""
    return [
        Comparison(dataset, metric, value, again[dataset].mean[metric])
        for dataset, scores in recorded.items()
        for metric, value in scores.mean.items()
    ]
