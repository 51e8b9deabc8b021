"""Tables of records: a pure function from records to pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import cells
from .bootstrap import LEVEL, RESAMPLES, SEED
from .comparable import comparable_records, exclusion_notes
from .formats import NONE, Column, Page, Sheet
from .labels import REFERENCES, labels, notes
from .rows import DIGITS, best_scores, comparisons, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ..records.record import Record
    from .formats import Cell
    from .rows import Comparison, Row

MARK = "<!-- Made by `srq table"
"""How every generated table begins."""

DIFFERENCES = (
    "PSNR in dB less that of the row named under Against: of the same bits and scope the best, by the first test set, "
    f"that shares no plugin with the row. In brackets the {LEVEL:.0%} interval of {RESAMPLES:,} paired bootstrap "
    f"resamples of the images (seed {SEED}); bold where it leaves out zero. Elsewhere other images may turn the order "
    "round."
)


def groups(records: Iterable[Record]) -> dict[str, list[Record]]:
    """The records of each table, by its path without a suffix: `<suite>/<model>-x<scale>`."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        spec = record.spec
        groups.setdefault(f"{spec.suite}/{spec.model}-x{spec.scale}", []).append(record)
    return {path: groups[path] for path in sorted(groups)}


def page(records: Iterable[Record]) -> Page:
    """One table, of records that share suite, model, scale, weights and data; raises SrqError otherwise."""
    known = list(records)
    ordered = comparable_records(known)
    first, named = ordered[0], labels(ordered)
    rows = rows_of(ordered, named)
    compared = comparisons(rows)
    sheets = [_scores(first, rows), *([_differences(compared)] if any(each.other for each in compared) else [])]
    return Page(
        made=provenance(ordered, "srq table"),
        title=f"{first.spec.model} x{first.spec.scale}, suite {first.spec.suite}",
        sheets=sheets,
        notes=[*notes(ordered, named), *exclusion_notes(ordered, known)],
        lines=[{**table_identity(first), **line} for line in (*_reference_lines(first), *_lines(compared))],
    )


def provenance(records: Sequence[Record], command: str) -> str:
    """The command that made a page, and the number of records."""
    return f"Made by `{command} --suite {records[0].spec.suite}` from {len(records)} record{'s' * (len(records) > 1)}"


def table_identity(record: Record) -> dict[str, Any]:
    """The values that all records of a table share, for programs."""
    spec = record.spec
    return {"suite": spec.suite, "model": spec.model, "scale": spec.scale, "weights_sha256": record.hashes.weights}


def _scores(first: Record, rows: Sequence[Row]) -> Sheet:
    """References, then rows; the best of a bit-width is bold."""
    best = best_scores(rows)
    kinds = [Column("Class")] if any(row.kind for row in rows) else []
    lines: list[list[Cell]] = []
    for name, references in first.references:
        bits, *theory = ["32/32", "1.00", "1.00"] if name == "fp" else [NONE] * 3
        start = [REFERENCES[name], bits, NONE, *(NONE for _ in kinds), *theory]
        lines.append([*start, *(cells.numbers(of.mean) for of in references.values())])
    for row in rows:
        what = [*cells.start(row), *(row.kind for _ in kinds), cells.ratio(row.compression), cells.ratio(row.speedup)]
        lines.append([*what, *(cells.scores(row, dataset, best) for dataset in first.scores)])
    theoretical = [Column(f"{what} (theoretical)", "right") for what in ("Compression", "Speedup")]
    return Sheet([*cells.HEAD, *kinds, *theoretical, *_columns("{} PSNR / SSIM", first.scores)], lines)


def _differences(compared: Sequence[Comparison]) -> Sheet:
    """How much better each row is than the best row that shares no plugin with it."""
    datasets = compared[0].row.scores
    lines = [
        [
            *cells.start(of.row),
            cells.called(of.other) if of.other else NONE,
            *(cells.difference(of.differences.get(dataset)) for dataset in datasets),
        ]
        for of in compared
    ]
    head = [*cells.HEAD, Column("Against"), *_columns(f"{{}} PSNR difference [{LEVEL:.0%}]", datasets)]
    return Sheet(head, lines, "Differences", DIFFERENCES)


def _columns(head: str, datasets: Iterable[str]) -> list[Column]:
    return [Column(head.format(dataset), "right") for dataset in datasets]


def _reference_lines(first: Record) -> Iterator[dict[str, Any]]:
    for name, references in first.references:
        bits, ratio = (32, 1.0) if name == "fp" else (None, None)
        for dataset, scores in references.items():
            yield {
                "method": REFERENCES[name],
                "weight_bits": bits,
                "activation_bits": bits,
                "scope": None,
                "seeds": None,
                "theoretical_compression": ratio,
                "theoretical_speedup": ratio,
                "test_set": dataset,
                "images": len(scores.images),
                **{metric: scores.mean.get(metric) for metric in DIGITS},
            }


def _lines(compared: Iterable[Comparison]) -> Iterator[dict[str, Any]]:
    """A line per row and test set."""
    for of in compared:
        row = of.row
        for dataset, scores in row.scores.items():
            difference = of.differences.get(dataset)
            lower, upper = (difference and difference.interval) or (None, None)
            yield {
                "method": row.label,
                "weight_bits": row.bits.weight,
                "activation_bits": row.bits.activation,
                "scope": row.scope,
                "seeds": " ".join(map(str, row.seeds)),
                **({"class": row.kind} if row.kind else {}),
                "theoretical_compression": row.compression,
                "theoretical_speedup": row.speedup,
                "test_set": dataset,
                "images": len(row.psnr[dataset]),
                **{metric: score.mean for metric, score in scores.items()},
                **{f"{metric}_std": score.std for metric, score in scores.items()},
                "against": of.other.label if of.other else None,
                "psnr_difference": difference.mean if difference else None,
                "psnr_difference_lower": lower,
                "psnr_difference_upper": upper,
            }
