"""The rows of the board: a method on a test set, with its scores, its intervals and its cost."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from ..records.complexity import FULL_PRECISION
from ..records.files import name_of
from ..tables.bootstrap import interval
from ..tables.cells import called
from ..tables.comparable import comparable_records, exclusion_notes
from ..tables.labels import REFERENCES, labels, notes
from ..tables.rows import Difference, best_scores, comparisons, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ..records.record import Record
    from ..records.scores import DatasetScores
    from ..tables.published_scores import Published
    from ..tables.rows import Comparison, Row

MEASURED, REFERENCE, PUBLISHED = "measured", "reference", "published"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A line of the board. What is not known is NaN, None or an empty text.

    PSNR and differences are in dB, sizes in bytes, times in seconds. `psnr_best` and `ssim_best` say whether the score
    is the best of its bits, test set and table.
    """

    kind: str
    suite: str
    model: str
    scale: int
    test_set: str
    method: str
    family: str
    weight_bits: int | None
    activation_bits: int | None
    mixed_bits: bool = False
    scope: str = ""
    psnr: float
    psnr_std: float = math.nan
    ssim: float
    ssim_std: float = math.nan
    psnr_best: bool = False
    ssim_best: bool = False
    less_fp: Difference | None = None
    against: str = ""
    less_other: Difference | None = None
    weight_bytes: float = math.nan
    compression: float = math.nan
    speedup: float = math.nan
    calibration_seconds: float = math.nan
    total_seconds: float = math.nan
    peak_memory_bytes: float = math.nan
    seeds: str = ""
    images: int | None = None
    source: str = ""
    fingerprint: str = ""
    """The first digits of the record's, which end its name and are its place on the page of its table."""
    identity: str = ""
    """What tells a measured row from others of its table, whatever those are; its label does not."""

    @property
    def table(self) -> str:
        """The page of the records that this one is compared with, without a suffix."""
        return f"{self.suite}/{self.model}-x{self.scale}" if self.kind != PUBLISHED else ""

    @property
    def row_id(self) -> str:
        """An address that is the same whenever the site is made again, whatever else is on the board."""
        bits = f"{self.weight_bits}/{self.activation_bits}"
        what = (
            self.kind,
            self.suite,
            self.model,
            self.scale,
            self.test_set,
            self.identity or self.method,
            bits,
            self.scope,
            self.source,
        )
        return "r" + hashlib.sha256(repr(what).encode("utf-8", "surrogatepass")).hexdigest()[:10]

    @property
    def bits(self) -> str:
        """`4/8`, with a note if some sites have other bits; empty where there are none."""
        return f"{self.weight_bits}/{self.activation_bits}{' mixed' * self.mixed_bits}" if self.weight_bits else ""

    def values(self) -> dict[str, Any]:
        """All for programs: plain values under the names of the fields, each difference as three.

        What is the best can be told from the scores.
        """
        values: dict[str, Any] = {"id": self.row_id}
        for field in fields(self):
            if field.name in ("psnr_best", "ssim_best", "identity"):
                continue
            value = getattr(self, field.name)
            if field.name in ("less_fp", "less_other"):
                lower, upper = (value and value.interval) or (None, None)
                named = (value.mean if value else None, lower, upper)
                values |= dict(zip((field.name, f"{field.name}_lower", f"{field.name}_upper"), named, strict=True))
            else:
                values[field.name] = value
        return values


@dataclass(frozen=True, eq=False)
class Table:
    """The records that compare with one another, their rows, the records of each row, and notes for a reader.

    The notes leave out what stands with each record.
    """

    path: str
    records: Sequence[Record]
    rows: Sequence[Row]
    of_row: Sequence[Sequence[Record]]
    labels: dict[str, str]
    notes: Sequence[str]


def table_of(path: str, records: Iterable[Record]) -> Table:
    """Bring the records of one table in order; raises SrqError if they do not compare."""
    known = list(records)
    ordered = comparable_records(known)
    named = labels(ordered)
    rows = rows_of(ordered, named)
    of: dict[tuple[str, str, str], list[Record]] = {}
    for record in sorted(ordered, key=lambda record: record.spec.seed):
        of.setdefault((named[record.key], str(record.spec.bits), record.scope.short), []).append(record)
    of_row = [of[row.label, str(row.bits), row.scope] for row in rows]
    return Table(
        path, ordered, rows, of_row, named, [*notes(ordered, named, variants=False), *exclusion_notes(ordered, known)]
    )


def measured_entries(table: Table) -> Iterator[Entry]:
    """References, then rows, from the best to the worst of each test set and bit-width."""
    first = table.records[0]
    shared: dict[str, Any] = {"suite": first.spec.suite, "model": first.spec.model, "scale": first.spec.scale}
    full = _bytes(first, at=FULL_PRECISION)
    compared, best = comparisons(table.rows), best_scores(table.rows)
    identities = _identities(table)
    for dataset in first.scores:
        for name, references in first.references:
            yield _reference(name, references[dataset], shared | {"test_set": dataset}, full)
        order = sorted(range(len(compared)), key=lambda at: _place(table.rows[at], dataset))
        for at in order:
            own = shared | {"test_set": dataset, "identity": identities[at]}
            yield _measured(compared[at], table.of_row[at], dataset, own, best)


def _identities(table: Table) -> list[str]:
    """Of every row its method and options; also its fingerprint, if an earlier row has the same ones."""
    found: list[str] = []
    for row, (first, *_) in zip(table.rows, table.of_row, strict=True):
        known = repr((first.spec.method, first.spec.options, str(row.bits), row.scope))
        found.append(f"{known} {first.key}" if known in found else known)
    return found


def _reference(name: str, scores: DatasetScores, shared: dict[str, Any], full: float) -> Entry:
    is_fp = name == "fp"
    return Entry(
        kind=REFERENCE, method=REFERENCES[name], family="full precision" if is_fp else "interpolation",
        weight_bits=FULL_PRECISION if is_fp else None, activation_bits=FULL_PRECISION if is_fp else None,
        psnr=scores.mean.get("psnr", math.nan), ssim=scores.mean.get("ssim", math.nan), images=len(scores.images),
        weight_bytes=full if is_fp else math.nan, compression=1.0 if is_fp else math.nan,
        speedup=1.0 if is_fp else math.nan, **shared,
    )  # fmt: skip


def _measured(
    compared: Comparison, records: Sequence[Record], dataset: str, shared: dict[str, Any], best: frozenset[Any]
) -> Entry:
    row, first = compared.row, records[0]
    psnr, ssim = row.scores[dataset]["psnr"], row.scores[dataset]["ssim"]
    return Entry(
        kind=MEASURED, method=called(row), family=family(first), scope=row.scope,
        weight_bits=row.bits.weight, activation_bits=row.bits.activation, mixed_bits=row.is_mixed,
        psnr=psnr.mean, psnr_std=psnr.std, ssim=ssim.mean, ssim_std=ssim.std,
        psnr_best=(row, dataset, "psnr") in best, ssim_best=(row, dataset, "ssim") in best,
        less_fp=less_fp(row, first, dataset), against=called(compared.other) if compared.other else "",
        less_other=compared.differences.get(dataset), weight_bytes=row.bytes,
        compression=row.compression, speedup=row.speedup,
        calibration_seconds=_mean(calibration_seconds(record) for record in records),
        total_seconds=_mean(record.timings["total"] for record in records),
        peak_memory_bytes=max(record.peak_memory_bytes for record in records), seeds=" ".join(map(str, row.seeds)),
        images=len(row.psnr[dataset]), fingerprint=place_of(record_id(first)), **shared,
    )  # fmt: skip


def published_entries(published: Iterable[Published]) -> Iterator[Entry]:
    """Scores that others have printed; they are of official weights and do not compare with other weights."""
    for score in published:
        yield Entry(
            kind=PUBLISHED, suite="", model=score.model, scale=score.scale, test_set=score.dataset, method=score.method,
            family="full precision" if score.bits == FULL_PRECISION else "", weight_bits=score.bits,
            activation_bits=score.bits, scope=score.scope, psnr=score.psnr,
            ssim=math.nan if score.ssim is None else score.ssim, source=score.source,
        )  # fmt: skip


def family(record: Record) -> str:
    """The class of a method; of an older record only whether it trains, which its losses show."""
    if record.known_learned:
        return record.known_learned.kind
    return "with training" if "losses" in record.figures else "without training"


def calibration_seconds(record: Record) -> float:
    """What the method itself took: its bounds and its calibration, without loading and scoring."""
    return sum(record.timings.get(stage, 0.0) for stage in ("bounds", "calibrate"))


def record_id(record: Record) -> str:
    """The name of the record's file without its suffix."""
    return name_of(record).removesuffix(".json")


def place_of(record_id: str) -> str:
    """The digits at the end of a record's name: the first of its fingerprint, by which it is found on its page."""
    return record_id.rpartition("-")[2]


def less_fp(row: Row, record: Record, dataset: str) -> Difference:
    """PSNR less that of the FP network on the same images, with its paired bootstrap interval."""
    images = record.references.fp[dataset].images
    with np.errstate(invalid="ignore", over="ignore"):  # of infinite scores
        differences = row.psnr[dataset] - [images[name].get("psnr", math.nan) for name in sorted(images)]
        return Difference(float(differences.mean()), interval(differences))


def weight_bytes(record: Record) -> float:
    """Bytes of all parameters at their bits; the bounds, two numbers a site, are left out."""
    return _bytes(record)


def _bytes(record: Record, at: int | None = None) -> float:
    return record.complexity.bytes if at is None else sum(record.complexity.parameters.values()) * at / 8


def _mean(values: Iterable[float]) -> float:
    known = list(values)
    return sum(known) / len(known)


def _place(row: Row, dataset: str) -> tuple[Any, ...]:
    psnr = row.scores[dataset]["psnr"].mean
    return -row.bits.weight, -row.bits.activation, math.inf if math.isnan(psnr) else -psnr, row.label, row.scope
