"""Tables of records: a pure function from what was measured to Markdown."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pandas as pd
from tabulate import tabulate

from .errors import SrqError
from .labels import NONE, labels, notes
from .records import record_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from .schema import DatasetScores, Record, Scores

MARK = "<!-- Made by `srq table"
"""How every generated table begins."""

DIGITS = {"psnr": 2, "ssim": 4}
"""The metrics of a cell and the decimals that the field prints."""

REFERENCES = {"fp": "FP", "bicubic": "bicubic (MATLAB)", "bilinear": "bilinear"}
ROW = ["weight", "activation", "label", "scope"]


def tables(records: Iterable[Record]) -> dict[str, str]:
    """All tables by their path, `<suite>/<model>-x<scale>.md`; raises SrqError where records do not fit."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        spec = record.spec
        groups.setdefault(f"{spec.suite}/{spec.model}-x{spec.scale}.md", []).append(record)
    return {path: render(groups[path]) for path in sorted(groups)}


def render(records: Iterable[Record]) -> str:
    """One table, of records that share suite, model, scale, weights and data; raises SrqError otherwise.

    Runs for which fewer of the suite's test sets were at hand than for others are left out, and counted below.
    """
    known = sorted(records, key=lambda record: record.key)
    if not known:
        raise SrqError("a table needs at least one record")
    fewest = min(len(record.not_scored) for record in known)
    ordered = [record for record in known if len(record.not_scored) == fewest]
    for record in ordered[1:]:
        _check_fit(ordered[0], record)
    _check_pairs(ordered)
    named = labels(ordered)
    spec, count = ordered[0].spec, len(ordered)
    made = f"{MARK} --suite {spec.suite}` from {count} record{'s' * (count > 1)}; do not edit. -->"
    title = f"# {spec.model} x{spec.scale}, suite {spec.suite}"
    remarks = [*notes(ordered, named), *_absent(ordered[0].not_scored, len(known) - count)]
    below = "\n".join(f"- {' '.join(note.split())}" for note in remarks)
    return f"{made}\n\n{title}\n\n{_table(ordered, named)}\n\n{below}\n"


def _absent(not_scored: Sequence[str], left_out: int) -> Iterator[str]:
    """Which test sets of the suite have no column, and how many records have no row."""
    if not_scored:
        yield f"Not scored, because the images were not at hand: {', '.join(not_scored)}."
    if left_out:
        runs = "1 run" if left_out == 1 else f"{left_out} runs"
        yield f"Left out: {runs} on fewer test sets; measure again."


def _name(record: Record) -> str:
    return record_name(record.spec, record.hashes)


def _check_fit(first: Record, second: Record) -> None:
    """Refuse two records whose scores do not compare."""
    for what, one, other in (
        ("suite", first.spec.suite, second.spec.suite),
        ("model", first.spec.model, second.spec.model),
        ("scale", first.spec.scale, second.spec.scale),
        ("weights", first.hashes.weights, second.hashes.weights),
        ("test images", first.hashes.test, second.hashes.test),
        ("calibration patches", first.spec.calibration, second.spec.calibration),
        ("padding", first.spec.padding, second.spec.padding),
        ("metric", _metrics(first), _metrics(second)),
    ):
        if one != other:
            raise _mixed(first, second, what)
    for (name, one_scores), (_, other_scores) in zip(first.references, second.references, strict=True):
        if not _close(one_scores, other_scores):
            raise _mixed(first, second, f"scores of {REFERENCES[name]}, so in their metric or images")


def _mixed(first: Record, second: Record, what: str) -> SrqError:
    return SrqError(f"no table of both {_name(first)} and {_name(second)}: they differ in {what}")


def _metrics(record: Record) -> dict[str, list[str]]:
    return {dataset: [m for m in DIGITS if m in scores.mean] for dataset, scores in record.scores.items()}


def _close(one: Scores, other: Scores) -> bool:
    """Whether two machines' scores of a reference agree to one unit of the last digit printed."""
    return all(
        math.isclose(one[dataset].mean[metric], other[dataset].mean[metric], rel_tol=0, abs_tol=10.0**-digits)
        for dataset in one
        for metric, digits in DIGITS.items()
        if metric in one[dataset].mean and metric in other[dataset].mean
    )


def _check_pairs(ordered: Sequence[Record]) -> None:
    """Refuse a run given twice, one word for two scopes, and one seed for two sets of calibration patches."""
    scopes: dict[str, Record] = {}
    seeds: dict[int, Record] = {}
    for previous, record in zip([None, *ordered], ordered, strict=False):
        if previous is not None and previous.key == record.key:
            raise SrqError(f"record {_name(record)} is given twice")
        known = scopes.setdefault(record.scope.short, record)
        if known.scope != record.scope:
            raise _mixed(known, record, f"what '{record.scope.short}' quantizes")
        # The seed chooses the crops, so patches are compared within a seed only.
        alike = seeds.setdefault(record.spec.seed, record)
        if alike.hashes.calibration != record.hashes.calibration:
            raise _mixed(alike, record, "calibration images")


def _table(ordered: Sequence[Record], labels: Mapping[str, str]) -> str:
    datasets = list(ordered[0].scores)
    references = [
        [REFERENCES[name], "32/32" if name == "fp" else NONE, NONE, *(_plain(scores[d]) for d in datasets)]
        for name, scores in ordered[0].references
    ]
    headers = ["Method", "W/A bits", "Scope", *(f"{dataset} PSNR / SSIM" for dataset in datasets)]
    return tabulate(
        [[_escaped(cell) for cell in row] for row in [*references, *_rows(ordered, labels, datasets)]],
        [_escaped(header) for header in headers],
        tablefmt="pipe",
        colalign=["left", "center", "left", *("right" for _ in datasets)],
        disable_numparse=True,
    )


def _plain(scores: DatasetScores) -> str:
    return " / ".join(_number(scores.mean.get(metric, math.nan), metric) for metric in DIGITS)


def _number(value: float, metric: str) -> str:
    return NONE if math.isnan(value) else f"{value:.{DIGITS[metric]}f}"


def _rows(ordered: Sequence[Record], labels: Mapping[str, str], datasets: Sequence[str]) -> Iterator[list[str]]:
    """Rows from many bits to few and, within a bit-width, by rising PSNR on the first test set."""
    scores = pd.DataFrame([line for record in ordered for line in _measured(record, labels[record.key])])
    seeds = scores.groupby(ROW)["seed"].unique()
    cells = scores.groupby([*ROW, "dataset", "metric"], as_index=False).agg(
        mean=("score", "mean"), std=("score", "std")
    )
    # Best is judged by what is printed: a reader must not see one of two equal numbers in bold.
    cells["shown"] = [round(m, DIGITS[of]) for m, of in zip(cells["mean"], cells["metric"], strict=True)]
    best = cells.groupby(["weight", "activation", "dataset", "metric"])["shown"].transform("max")
    cells["text"] = [
        _seen(*cell) for cell in zip(cells["mean"], cells["std"], cells["metric"], cells["shown"] == best, strict=True)
    ]
    texts = cells.pivot(index=ROW, columns=["dataset", "metric"], values="text")
    first = cells[(cells["dataset"] == datasets[0]) & (cells["metric"] == "psnr")]
    order = first.sort_values([*ROW[:2], "shown", "label"], ascending=[False, False, True, True])
    for weight, activation, label, scope in order[ROW].itertuples(index=False):
        row = (weight, activation, label, scope)
        pairs = (" / ".join(texts.loc[row, (dataset, metric)] for metric in DIGITS) for dataset in datasets)
        yield [label + _seeds(sorted(seeds[row])), f"{weight}/{activation}", scope, *pairs]


def _measured(record: Record, label: str) -> Iterator[dict[str, Any]]:
    """One line per test set and metric; a missing score is NaN."""
    for dataset, scores in record.scores.items():
        for metric in DIGITS:
            yield {
                "weight": record.spec.bits.weight,
                "activation": record.spec.bits.activation,
                "label": label,
                "scope": record.scope.short,
                "seed": record.spec.seed,
                "dataset": dataset,
                "metric": metric,
                "score": scores.mean.get(metric, math.nan),
            }


def _seen(mean: float, std: float, metric: str, best: bool) -> str:
    number = f"**{_number(mean, metric)}**" if best else _number(mean, metric)
    return number if math.isnan(std) else f"{number} ± {_number(std, metric)}"


def _seeds(seeds: Sequence[int]) -> str:
    if list(seeds) == [0]:
        return ""
    return f" [seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}]"


def _escaped(cell: str) -> str:
    return " ".join(cell.replace("|", r"\|").split())
