"""How long cells will take, from the seconds that records of the same work took."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from statistics import median
from typing import TYPE_CHECKING

from ..errors import SrqError
from ..records.files import read_record, record_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from ..records.record import Record
    from ..records.resolved import ResolvedSpec
    from .plan import Planned

SHARED = ("score fp", "score bicubic", "score bilinear", "observe")
"""Stages that the cells of one suite, model, scale, scope and seed compute only once."""


class Timings:
    """Seconds of earlier records: of the stages that every run computes, and of the stages that runs share.

    Bits and seed do not decide them; suite, model, scale, scope, parts and options do.
    """

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._own: dict[str, list[float]] = defaultdict(list)
        self._shared: dict[object, float] = defaultdict(float)
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        """Learn from one more record."""
        stages = record.timings
        rewritten = "transform" in stages  # such a run shares no distributions
        shared = sum(stages.get(stage, 0.0) for stage in SHARED if not (rewritten and stage == "observe"))
        self._own[_work(record.spec)].append(max(0.0, stages["total"] - shared))
        key = _protocol(record.spec)
        self._shared[key] = max(self._shared[key], shared)  # a stage from the cache took no time

    def own(self, spec: ResolvedSpec) -> float | None:
        """Seconds of a cell if all shared stages are done; None if no record tells."""
        seconds = self._own.get(_work(spec))
        return median(seconds) if seconds else None

    def of(self, planned: Sequence[Planned]) -> list[float | None]:
        """Seconds of every cell one after the other; shared stages count at the first cell."""
        begun: set[object] = set()
        found: list[float | None] = []
        for each in planned:
            own = self.own(each.spec)
            key = _protocol(each.spec), each.spec.seed
            shared = 0.0 if key in begun else self._shared.get(key[0], 0.0)
            begun.add(key)
            found.append(None if own is None else own + shared)
        return found


def _protocol(spec: ResolvedSpec) -> tuple[object, ...]:
    return spec.suite, spec.model, spec.scale, spec.scope


def _work(spec: ResolvedSpec) -> str:
    return repr((_protocol(spec), spec.parts, sorted((part, sorted(o.items())) for part, o in spec.options.items())))


def in_words(seconds: float) -> str:
    """A duration as text, such as 45 s, 12 min or 3.4 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


def earlier_records(folders: Iterable[Path]) -> list[Record]:
    """All readable records of the folders."""
    records = []
    for folder in folders:
        with suppress(SrqError, OSError):
            for path in record_files(folder):
                with suppress(SrqError):
                    records.append(read_record(path))
    return records


class TimeLeft:
    """Seconds until a running sweep ends; the estimate improves with every measured cell."""

    def __init__(self, planned: Sequence[Planned], timings: Timings, workers: int) -> None:
        self.timings, self.workers = timings, workers
        self.left = dict(enumerate(planned))
        self.begun: dict[int, float] = {}

    def begin(self, index: int, now: float) -> None:
        """A cell is being measured since `now`; if it is started again, the last start counts."""
        self.begun[index] = now

    def end(self, index: int, record: Record | None) -> None:
        """A cell has ended, with its record or without."""
        del self.left[index]
        if record:
            self.timings.add(record)

    def seconds(self, now: float) -> float | None:
        """A cell without a record of the same work counts as the mean of the others; None if there are none."""
        expected = dict(zip(self.left, self.timings.of(list(self.left.values())), strict=True))
        known = [seconds for seconds in expected.values() if seconds is not None]
        if not known:
            return None if expected else 0.0
        mean = sum(known) / len(known)
        passed = {index: now - self.begun.get(index, now) for index in expected}
        rest = [max(0.0, (mean if s is None else s) - passed[index]) for index, s in expected.items()]
        return max(sum(rest) / self.workers, *rest)
