"""The scores of one record for a reader: a table beside its references, and what quantization cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .record import Record
    from .scores import DatasetScores


def score_table(record: Record) -> tuple[str, list[str], list[list[str]]]:
    """Title, heads of the columns after the first, and rows: an upscaler each, or with many test sets a score each."""
    spec = record.spec
    sets = list(record.scores)
    metrics = list(dict.fromkeys(metric for of in record.scores.values() for metric in of.mean))
    references = record.references
    rows = {
        "bicubic": references.bicubic,
        "bilinear": references.bilinear,
        f"{spec.method} {spec.bits}, {record.scope.short}": record.scores,
        "full precision (FP)": references.fp,
    }
    heads = [f"{name} {metric.upper()}" if len(sets) > 1 else metric.upper() for name in sets for metric in metrics]
    cells = [[_number(of[name], metric) for name in sets for metric in metrics] for of in rows.values()]
    title = f"{spec.model} x{spec.scale}, suite {spec.suite}"
    if len(heads) <= len(rows):
        return title, heads, [[label, *of] for label, of in zip(rows, cells, strict=True)]
    return title, list(rows), [[head, *of] for head, *of in zip(heads, *cells, strict=True)]


def lost(record: Record) -> Iterator[str]:
    """What quantization cost, a line per test set; another one where plain interpolation is better."""
    references = record.references
    for name in record.scores:
        psnr, fp, bicubic = (of[name].mean.get("psnr") for of in (record.scores, references.fp, references.bicubic))
        if psnr is None or fp is None or bicubic is None:
            continue
        yield f"{name}: {_difference(psnr, fp)} dB against FP, {_difference(psnr, bicubic)} dB against bicubic"
        if psnr < bicubic:
            yield f"{name}: below bicubic: the quantized network is worse than plain interpolation"


def _difference(psnr: float, other: float) -> str:
    """With two decimals, but no -0.00; equal infinite values do not differ."""
    return f"{0.0 if psnr == other else round(psnr - other, 2) + 0.0:+.2f}"


def _number(scores: DatasetScores, metric: str) -> str:
    return f"{scores.mean[metric]:.{2 if metric == 'psnr' else 4}f}" if metric in scores.mean else "–"
