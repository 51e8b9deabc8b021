"""The rows of a table; records that differ only in the seed share a row."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from .bootstrap import interval
from .formats import NONE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..protocol.bits import Bits
    from ..records.record import Record
    from ..records.scores import DatasetScores

DIGITS = {"psnr": 2, "ssim": 4}
"""The metrics of a cell and the decimals that the field prints."""


@dataclass(frozen=True)
class Score:
    """A mean over images and seeds, and the sample standard deviation over seeds; NaN if there is none."""

    mean: float
    std: float = math.nan

    def shown(self, metric: str) -> float:
        """The printed mean; it orders the rows and finds the best."""
        return round(self.mean, DIGITS[metric])


@dataclass(frozen=True)
class Difference:
    """PSNR minus that of another method, in dB: the mean over the images, and its bootstrap interval."""

    mean: float
    interval: tuple[float, float] | None

    @property
    def is_significant(self) -> bool:
        """Whether the interval leaves out zero, judged by the printed digits."""
        if self.interval is None:
            return False
        lower, upper = (round(end, DIGITS["psnr"]) for end in self.interval)
        return lower > 0 or upper < 0


@dataclass(frozen=True, eq=False)
class Row:
    """A method at one bit-width and scope; `is_mixed` says that some sites have other bits.

    A row that is not `is_bounded` has more than 2^bits levels at a site, so it is no result of these bits: it is never
    the best, and no other row compares with it.
    `kind` is the class of the method: what it changed, and whether it trained; empty if no record of a table says it.
    `bytes` are those of the parameters; bit-operations are per LR pixel; costs are the mean over the seeds.
    `scores` and `psnr`, the latter per image and as the mean over the seeds, are by test set.
    """

    label: str
    bits: Bits
    scope: str
    parts: frozenset[str]
    method: str
    seeds: tuple[int, ...]
    compression: float
    speedup: float
    is_mixed: bool
    is_bounded: bool
    scores: Mapping[str, Mapping[str, Score]]
    psnr: Mapping[str, np.ndarray]
    kind: str = ""
    bytes: float = math.nan
    bit_operations: float = math.nan

    @property
    def comparison_key(self) -> tuple[Bits, str, frozenset[str]]:
        """The key of rows that compare with each other."""
        return self.bits, self.scope, self.parts

    def finite_psnr(self, dataset: str) -> float:
        """The mean PSNR on a test set in dB; NaN where a figure has no place for it: it is infinite or missing."""
        value = self.scores[dataset]["psnr"].mean
        return value if math.isfinite(value) else math.nan

    def is_comparable(self, other: Row) -> bool:
        """Whether another row has the same bits and scope and shares no plugin with this one."""
        return (self.bits, self.scope) == (other.bits, other.scope) and not self.parts & other.parts


@dataclass(frozen=True, eq=False)
class Comparison:
    """A row, the best other one that it compares with, and how much better it is, by test set."""

    row: Row
    other: Row | None
    differences: Mapping[str, Difference]


def rows_of(records: Iterable[Record], labels: Mapping[str, str]) -> list[Row]:
    """Rows from many bits to few and, within a bit-width, by rising PSNR on the first test set.

    `labels` are the names of the records, by their keys.
    """
    known = list(records)
    groups: dict[tuple[Bits, str, str], list[Record]] = {}
    for record in sorted(known, key=lambda record: record.spec.seed):
        groups.setdefault((_one(record.spec.bits), labels[record.key], record.scope.short), []).append(record)
    rows = (_row(label, bits, of) for (bits, label, _), of in groups.items())
    if not any(record.learned for record in known):
        rows = (replace(row, kind="") for row in rows)
    return sorted(rows, key=_place)


@lru_cache
def _one(bits: Bits) -> Bits:
    """Of equal ones always the same: thousands of rows are looked up by their bits, which takes long for models."""
    return bits


def comparisons(rows: Sequence[Row]) -> list[Comparison]:
    """Each row against the row with the best PSNR on the first test set (if equal, the first); none without PSNR."""
    # Rows of one kind compare with the same rows: the best row of each kind is enough.
    best_of: dict[tuple[Bits, str, frozenset[str]], Row] = {}
    for row in rows:
        known = best_of.get(row.comparison_key)
        is_ranked = row.is_bounded and not math.isnan(_first_psnr(row))
        if is_ranked and (known is None or _first_psnr(row) > _first_psnr(known)):
            best_of[row.comparison_key] = row
    place = {id(row): index for index, row in enumerate(rows)}
    best_first = sorted(best_of.values(), key=lambda row: (-_first_psnr(row), place[id(row)]))
    against = {row.comparison_key: next(filter(row.is_comparable, best_first), None) for row in rows}

    def compared(row: Row) -> Comparison:
        best = against[row.comparison_key]
        return Comparison(row, best, {name: _difference(row, best, name) for name in row.scores} if best else {})

    with np.errstate(invalid="ignore", over="ignore"):  # of two infinite scores, and of huge ones
        return [compared(row) for row in rows]


def best_scores(rows: Sequence[Row]) -> frozenset[tuple[Row, str, str]]:
    """The rows, test sets and metrics whose score is the best of its bits, judged by the printed digits."""
    shown = {
        (row, dataset, metric): score.shown(metric)
        for row in rows
        if row.is_bounded
        for dataset, scores in row.scores.items()
        for metric, score in scores.items()
    }
    best: dict[tuple[Bits, str, str], float] = {}
    for (row, dataset, metric), value in shown.items():
        key = row.bits, dataset, metric
        best[key] = max(best.get(key, -math.inf), value)
    return frozenset(of for of, value in shown.items() if value == best[of[0].bits, of[1], of[2]])


def _difference(row: Row, other: Row, dataset: str) -> Difference:
    differences = row.psnr[dataset] - other.psnr[dataset]
    return Difference(float(differences.mean()), interval(differences))


def _row(label: str, bits: Bits, seeds: Sequence[Record]) -> Row:
    first = seeds[0]
    return Row(
        label=label,
        bits=bits,
        scope=first.scope.short,
        parts=frozenset(first.spec.parts),
        method=first.spec.method,
        seeds=tuple(record.spec.seed for record in seeds),
        compression=fmean(record.complexity.compression for record in seeds),
        speedup=fmean(record.complexity.speedup for record in seeds),
        is_mixed=any(record.site_bits for record in seeds),
        is_bounded=not any(record.most_levels for record in seeds),
        scores={name: _scores([record.scores[name] for record in seeds]) for name in first.scores},
        psnr={name: _psnr([record.scores[name] for record in seeds]) for name in first.scores},
        kind=first.known_learned.kind if first.known_learned else NONE,
        bytes=fmean(record.complexity.bytes for record in seeds),
        bit_operations=fmean(record.complexity.bit_operations for record in seeds),
    )


def _scores(seeds: Sequence[DatasetScores]) -> dict[str, Score]:
    return {metric: _score([of.mean.get(metric, math.nan) for of in seeds]) for metric in DIGITS}


def _score(means: Sequence[float]) -> Score:
    if len(means) == 1:
        return Score(means[0])
    with np.errstate(invalid="ignore", over="ignore"):  # of infinite and of huge scores
        return Score(float(np.mean(means)), float(np.std(means, ddof=1)))


def _psnr(seeds: Sequence[DatasetScores]) -> np.ndarray:
    names = sorted(seeds[0].images)
    each = np.array([[of.images[name].get("psnr", math.nan) for name in names] for of in seeds])
    return each[0] if len(each) == 1 else np.mean(each, axis=0)  # type: ignore[no-any-return]


def _place(row: Row) -> tuple[Any, ...]:
    psnr = _first_psnr(row)
    measured = (1, 0.0) if math.isnan(psnr) else (0, psnr)  # a row without PSNR comes last
    return -row.bits.weight, -row.bits.activation, measured, row.label, row.scope


def _first_psnr(row: Row) -> float:
    """The printed PSNR on the first test set."""
    return next(iter(row.scores.values()))["psnr"].shown("psnr")
