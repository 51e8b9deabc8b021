"""The student of a run without its calibration: rebuilt from the bounds that lie beside its record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from .bench import Stages, calibrated, new_student
from .errors import SrqError
from .records import bounds_path, read_record
from .stored_bounds import bounds_sha256, restore

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from .bench import Run
    from .cache import Cache
    from .hookspecs import Progress
    from .model import Student

    Show = Callable[[str], AbstractContextManager[Progress]]


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
    return calibrated(run, cache, Stages(show))[0]
