"""Ablations: what is varied, as in 2DQuant's Table 4 or part by part, and the page of what was measured."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from ..errors import SrqError
from .cells import number
from .formats import NONE, Bold, Column, Page, Sheet
from .labels import protocol, scopes
from .leaderboard import table_identity
from .rows import DIGITS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..protocol.types import OptionValue
    from ..records.record import Record
    from .formats import Cell

Name = Literal["lr", "batch", "stages", "parts"]

OF_DQC = {"lr": "DQC's learning rate", "batch": "DQC's batch size"}
VALUES = {"lr": ("1e-1", "1e-2", "1e-3", "1e-4"), "batch": ("4", "8", "16", "32")}
"""What Table 4 varies, and the paper's values."""
STAGES = {"minmax": (False, False), "dobi": (True, False), "minmax+dqc": (False, True), "2dquant": (True, True)}
"""Whether a method has DOBI and DQC; without DOBI the first bounds are the minimum and the maximum."""

PUBLISHED: dict[str, dict[str, float]] = {
    "lr": {"1e-1": 37.82, "1e-2": 37.87, "1e-3": 37.78, "1e-4": 37.74},
    "batch": {"4": 37.82, "8": 37.83, "16": 37.84, "32": 37.87},
    "stages": {"minmax": 34.39, "dobi": 37.44, "minmax+dqc": 37.32, "2dquant": 37.87},
}
"""PSNR of Table 4 (arXiv 2406.06649), which has no SSIM: SwinIR-light x2 at 4 bits on Set5."""
PUBLISHED_ON = "Set5"
PUBLISHED_HEAD = f"{PUBLISHED_ON} PSNR, published, official weights"


@dataclass(frozen=True)
class Setting:
    """One cell of an ablation: a method with the option that is varied."""

    label: str
    method: str
    options: Mapping[str, OptionValue] = field(default_factory=dict)


def settings(name: Name, values: str | None = None) -> list[Setting]:
    """The cells of an ablation; `values` are numbers separated by commas. Raises SrqError for anything else."""
    if name == "stages":
        if values is not None:
            raise SrqError(f"the stages have no values, got '{values}'; leave out --values")
        return [Setting(method, method) for method in STAGES]
    texts = [text.strip() for text in values.split(",")] if values is not None else list(VALUES[name])
    numbers = [_number(text) for text in texts]
    if len(set(numbers)) < len(numbers):
        raise SrqError(f"values '{values}' name a number twice; give each once")
    labels = {_number(text): text for text in VALUES[name]}  # the paper's spelling, by which published scores are found
    return [
        Setting(labels.get(number, text), "2dquant", {f"dqc.{name}": text})
        for number, text in zip(numbers, texts, strict=True)
    ]


def without_parts(method: str, parts: Mapping[str, Mapping[str, OptionValue]]) -> list[Setting]:
    """The method, and the method without each of its parts: `parts` are the options that leave them out.

    Raises SrqError if there are none.
    """
    if not parts:
        raise SrqError(f"the plugins of method '{method}' name no parts that can be left out")
    return [Setting(method, method), *(Setting(f"without {part}", method, values) for part, values in parts.items())]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise SrqError(f"no value '{text}'; expected numbers with commas between, such as 1e-1,1e-2") from error


def page(name: Name, records: Mapping[str, Record]) -> Page:
    """The table of an ablation from its records, by the labels of their settings."""
    first = next(iter(records.values()))
    sheet = {"stages": _stages, "parts": _parts}.get(name, partial(_varied, name))(records)
    spec = first.spec
    what = {"stages": "the stages of 2DQuant", "parts": f"the parts of {spec.method}"}.get(name) or OF_DQC[name]
    return Page(
        made=f"Made by `srq ablate {name}`",
        title=f"{spec.model} x{spec.scale}, {spec.bits.weight}/{spec.bits.activation} bits, suite {spec.suite}: {what}",
        sheets=[sheet],
        notes=list(_notes(name, records)),
        lines=[line for label, record in records.items() for line in _lines(name, label, record)],
    )


def _varied(name: Name, records: Mapping[str, Record]) -> Sheet:
    """A column for each value, and two rows for each test set."""
    columns = [Column(OF_DQC[name]), *(Column(label, "right") for label in records)]
    rows: list[list[Cell]] = []
    for dataset in _datasets(records):
        rows += [[f"{dataset} {metric.upper()}", *_scores(records, dataset, metric)] for metric in DIGITS]
    if published := _published(name, records):
        rows.append([PUBLISHED_HEAD, *published])
    return Sheet(columns, rows)


def _stages(records: Mapping[str, Record]) -> Sheet:
    """A row for each method, and two columns for each test set."""
    columns = [Column("DOBI", "center"), Column("DQC", "center"), Column("Method")]
    cells: list[list[Cell]] = [[*("✓" if has else NONE for has in STAGES[label]), label] for label in records]
    more = {
        f"{dataset} {metric.upper()}": _scores(records, dataset, metric)
        for dataset in _datasets(records)
        for metric in DIGITS
    }
    if published := _published("stages", records):
        more[PUBLISHED_HEAD] = published
    columns += [Column(head, "right") for head in more]
    return Sheet(
        columns, [[*start, *rest] for start, rest in zip(cells, zip(*more.values(), strict=True), strict=True)]
    )


def _parts(records: Mapping[str, Record]) -> Sheet:
    """A row for each setting, with two columns for each test set and the time of the calibration."""
    scores = {f"{dataset} {metric.upper()}": (dataset, metric) for dataset in _datasets(records) for metric in DIGITS}
    columns = [Column("Parts"), *(Column(head, "right") for head in scores), Column("Calibration", "right")]
    made = [_scores(records, dataset, metric) for dataset, metric in scores.values()]
    times: list[Cell] = [f"{record.timings.get('calibrate', 0):.0f} s" for record in records.values()]
    return Sheet(columns, [list(row) for row in zip(records, *made, times, strict=True)])


def _scores(records: Mapping[str, Record], dataset: str, metric: str) -> list[Cell]:
    """A score of each record, the best bold, judged by the printed digits."""
    texts = [number(record.scores[dataset].mean.get(metric, math.nan), metric) for record in records.values()]
    ranked = [not record.most_levels and text != NONE for record, text in zip(records.values(), texts, strict=True)]
    best = max((float(text) for text, counts in zip(texts, ranked, strict=True) if counts), default=None)
    return [Bold(text) if counts and float(text) == best else text for text, counts in zip(texts, ranked, strict=True)]


def _published(name: Name, records: Mapping[str, Record]) -> list[Cell]:
    """Table 4's PSNR for each record; empty if no record has its network, bits and test set."""
    record = next(iter(records.values()))
    spec = record.spec
    on_its_ground = (spec.model, spec.scale, str(spec.bits), spec.scope) == ("swinir-light", 2, "w4a4", "linear")
    if name not in PUBLISHED or not on_its_ground or PUBLISHED_ON not in record.scores:
        return []
    known = PUBLISHED[name]
    return [number(known[label], "psnr") if label in known else NONE for label in records]


def _notes(name: Name, records: Mapping[str, Record]) -> Iterator[str]:
    ordered = list(records.values())
    yield "PSNR in dB and SSIM, each the mean over the images; of each kind the best is in bold."
    if _published(name, records):
        yield "Published: Table 4 of arXiv 2406.06649, on official weights, and no measure for scores on other weights."
    yield from scopes(ordered)
    yield from protocol(ordered)
    yield f"Seed: {ordered[0].spec.seed}."


def _lines(name: Name, label: str, record: Record) -> Iterator[dict[str, Any]]:
    for dataset, scores in record.scores.items():
        yield {
            **table_identity(record),
            "bits": str(record.spec.bits),
            "ablation": name,
            "setting": label,
            "method": record.spec.method,
            "seed": record.spec.seed,
            "dataset": dataset,
            **{metric: scores.mean.get(metric, math.nan) for metric in DIGITS},
        }


def _datasets(records: Mapping[str, Record]) -> Sequence[str]:
    return list(next(iter(records.values())).scores)
