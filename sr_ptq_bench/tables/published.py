"""Measured and published scores side by side, and the weights on which each was scored."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..records.complexity import FULL_PRECISION
from . import cells
from . import rank_agreement as order
from .comparable import comparable_records
from .formats import NONE, Column, Page, Sheet
from .labels import REFERENCES, labels
from .leaderboard import provenance, table_identity
from .published_scores import OFFICIAL_WEIGHTS
from .rows import DIGITS, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ..records.record import Record
    from .formats import Cell
    from .published_scores import Published
    from .rows import Row

FULL = (FULL_PRECISION, FULL_PRECISION)
OFFICIAL = "official weights"


def page(records: Iterable[Record], published: Iterable[Published]) -> Page | None:
    """A page with a table per test set, of records that share a table; None if nothing published is of their sets.

    Raises SrqError for records that do not fit into one table.
    """
    ordered = comparable_records(records)
    first = ordered[0]
    known = [of for of in published if (of.model, of.scale) == (first.spec.model, first.spec.scale)]
    rows = rows_of(ordered, labels(ordered))
    pairs: dict[str, list[Pair]] = {}
    for dataset in first.scores:
        printed = [of for of in known if of.dataset.lower() == dataset.lower()]
        if printed:
            pairs[dataset] = list(_pairs(list(_measured(first, rows, dataset)), list(_printed(printed))))
    if not pairs:
        return None
    here = {dataset.lower() for dataset in first.scores}
    missing = dict.fromkeys(of.dataset for of in known if of.dataset.lower() not in here)
    return Page(
        made=provenance(ordered, "srq table --published"),
        title=f"{first.spec.model} x{first.spec.scale}, suite {first.spec.suite}: measured beside published",
        lead=_lead(first),
        sheets=[_sheet(dataset, of, _weights(first)) for dataset, of in pairs.items()],
        notes=[*_notes(list(missing)), *filter(None, (order.note(name, _ranked(of)) for name, of in pairs.items()))],
        lines=[line for dataset, of in pairs.items() for line in _lines(first, dataset, of)],
    )


# Whose weights


def _is_official(first: Record) -> bool:
    return first.hashes.weights in OFFICIAL_WEIGHTS


def _weights(first: Record) -> str:
    return OFFICIAL if _is_official(first) else f"weights {first.hashes.weights[:12]}"


def _lead(first: Record) -> str:
    """Whether the scores measured here are a reproduction."""
    weights = first.hashes.weights
    if _is_official(first):
        return f"Both on the official weights, {OFFICIAL_WEIGHTS[weights]} (sha256 `{weights[:12]}`)."
    return (
        f"**Not a reproduction.** Measured on the weights of sha256 `{weights[:12]}`, which is that of no official "
        "checkpoint known here; published on the official weights of the network. A difference is as much of the "
        "weights as of the method."
    )


# Pairs


@dataclass(frozen=True)
class Entry:
    """One side of a row: its name, bits of weights and activations, scope ("" of references), and mean scores."""

    name: str
    bits: tuple[int, int]
    scope: str
    means: Mapping[str, float]
    label: str
    """The name on this side: ours with options and seeds, or the words of the source."""
    source: str = ""
    is_bounded: bool = True
    """False for more than 2^bits levels at a site: no result of these bits, so it has no rank."""

    @property
    def has_bits(self) -> bool:
        """Whether it is a network; an interpolation has no bits."""
        return self.bits != FULL or self.name == REFERENCES["fp"]

    @property
    def key(self) -> tuple[tuple[int, int], str, str]:
        """What both sides must have in common."""
        return self.bits, self.name, self.scope


@dataclass(frozen=True)
class Pair:
    """A row: what was measured and what is published for it; one of the two may be missing."""

    measured: Entry | None
    published: Entry | None

    @property
    def either(self) -> Entry:
        """The side that exists, ours first."""
        entry = self.measured or self.published
        assert entry is not None
        return entry

    def scores(self, metric: str) -> tuple[float, float]:
        """Measured and published; NaN for what is missing."""
        ours, theirs = (
            side.means.get(metric, math.nan) if side else math.nan for side in (self.measured, self.published)
        )
        return ours, theirs


def _measured(first: Record, rows: Iterable[Row], dataset: str) -> Iterator[Entry]:
    for name, references in first.references:
        label = REFERENCES[name]
        yield Entry(label, FULL, "", references[dataset].mean, label)
    for row in rows:
        means = {metric: score.mean for metric, score in row.scores[dataset].items()}
        bits = row.bits.weight, row.bits.activation
        yield Entry(row.method, bits, row.scope, means, cells.called(row), is_bounded=row.is_bounded)


def _printed(published: Iterable[Published]) -> Iterator[Entry]:
    for of in published:
        means = {metric: value for metric in DIGITS if (value := getattr(of, metric)) is not None}
        yield Entry(of.row, (of.bits, of.bits), of.scope, means, f"{of.method}, {of.source}", of.source)


def _pairs(measured: Sequence[Entry], published: Sequence[Entry]) -> Iterator[Pair]:
    """From many bits to few, in the order of the published scores; unpublished rows come last."""
    known = {of.key for of in published}
    for bits in sorted({of.bits for of in (*measured, *published)}, reverse=True):
        for printed in published:
            if printed.bits == bits:
                found = [of for of in measured if of.key == printed.key]
                yield from [Pair(of, printed) for of in found] or [Pair(None, printed)]
        yield from (Pair(of, None) for of in measured if of.bits == bits and of.key not in known)


def _ranked(pairs: Iterable[Pair]) -> list[order.RankedMethod]:
    """The rows whose PSNR is known on both sides; references are no methods."""
    return [
        order.RankedMethod(pair.measured.label, (pair.measured.bits, pair.measured.scope), *pair.scores("psnr"))
        for pair in pairs
        if pair.measured and pair.published and pair.measured.bits != FULL and pair.measured.is_bounded
    ]


# Tables


def _sheet(dataset: str, pairs: Sequence[Pair], weights: str) -> Sheet:
    full = [pair for pair in pairs if pair.either.name == REFERENCES["fp"]]
    of_source = {pair.published.source: pair.scores("psnr") for pair in full if pair.published}
    numbers = [
        f"Measured, {weights}",
        f"Published, {OFFICIAL}",
        "Difference",
        *(f"PSNR less FP, {side}" for side in ("measured", "published")),
    ]
    head = [*cells.HEAD, *(Column(name, "right") for name in numbers), Column("Published as")]
    of_paper = {_paper(source): scores for source, scores in of_source.items()}
    none = full[0].scores("psnr")[0], math.nan  # one network is measured; another paper's FP score gives no loss

    def fp_of(source: str) -> tuple[float, float]:
        return of_source.get(source, of_paper.get(_paper(source), none))

    lines = [_line(pair, fp_of(pair.published.source if pair.published else "")) for pair in pairs]
    return Sheet(head, lines, f"{dataset}, PSNR / SSIM")


def _paper(source: str) -> str:
    """The paper that a table or figure is of: `arXiv 2406.06649` for `arXiv 2406.06649 Table 3`."""
    return source.partition(" Table ")[0]


def _line(pair: Pair, fp: tuple[float, float]) -> list[Cell]:
    entry, psnr = pair.either, pair.scores("psnr")
    sides = {metric: pair.scores(metric) for metric in DIGITS}
    return [
        entry.label if pair.measured else entry.name,
        "/".join(map(str, entry.bits)) if entry.has_bits else NONE,
        entry.scope or NONE,
        cells.numbers({metric: ours for metric, (ours, _) in sides.items()}),
        cells.numbers({metric: theirs for metric, (_, theirs) in sides.items()}),
        cells.numbers({metric: ours - theirs for metric, (ours, theirs) in sides.items()}, "+"),
        *(cells.number(side - full, "psnr", "+") for side, full in zip(psnr, fp, strict=True)),
        pair.published.label if pair.published else NONE,
    ]


def _notes(missing: Sequence[str]) -> Iterator[str]:
    yield "PSNR in dB and SSIM, each the mean over the images; a difference is measured less published."
    yield "PSNR less FP is what quantization costs on the weights of each side; it compares where the scores do not."
    if missing:
        yield f"Published, but not measured here: {', '.join(missing)}."


def _lines(first: Record, dataset: str, pairs: Iterable[Pair]) -> Iterator[dict[str, Any]]:
    for pair in pairs:
        entry = pair.either
        sides = {metric: pair.scores(metric) for metric in DIGITS}
        yield {
            **table_identity(first),
            "official_weights": _is_official(first),
            "test_set": dataset,
            "method": entry.label if pair.measured else entry.name,
            "weight_bits": entry.bits[0] if entry.has_bits else None,
            "activation_bits": entry.bits[1] if entry.has_bits else None,
            "scope": entry.scope,
            **{f"{metric}_measured": ours for metric, (ours, _) in sides.items()},
            **{f"{metric}_published": theirs for metric, (_, theirs) in sides.items()},
            **{f"{metric}_difference": ours - theirs for metric, (ours, theirs) in sides.items()},
            "published_as": pair.published.label if pair.published else None,
        }
