"""How names and numbers are printed in the cells of a table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .formats import NONE, Bold, Column
from .rows import DIGITS

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from .formats import Cell
    from .rows import Difference, Row

HEAD = [Column("Method"), Column("W/A bits", "center"), Column("Scope")]
"""The columns that say what a row is."""


def start(row: Row) -> list[Cell]:
    """The cells below HEAD."""
    return [called(row), bits(row), row.scope]


def called(row: Row) -> str:
    """The label of a row, with its seeds unless the only seed is 0."""
    if row.seeds == (0,):
        return row.label
    return f"{row.label} [seed{'s' * (len(row.seeds) > 1)} {', '.join(map(str, row.seeds))}]"


def bits(row: Row) -> str:
    """Bits of weights and activations: `4/8`, or `4/4 mixed` if some sites have other bits."""
    return f"{row.bits.weight}/{row.bits.activation}{' mixed' * row.is_mixed}"


def number(value: float, metric: str, sign: str = "") -> str:
    """A score, or with the sign `+` a difference of scores, with the decimals that the field prints."""
    rounded = round(value, DIGITS[metric]) + 0.0  # no -0.00
    return NONE if math.isnan(value) else f"{rounded:{sign}.{DIGITS[metric]}f}"


def numbers(values: Mapping[str, float], sign: str = "") -> str:
    """PSNR / SSIM, or differences of them; one dash if both are missing."""
    known = {metric: values.get(metric, math.nan) for metric in DIGITS}
    if all(map(math.isnan, known.values())):
        return NONE
    return " / ".join(number(value, metric, sign) for metric, value in known.items())


def scores(row: Row, dataset: str, best: Container[tuple[Row, str, str]]) -> Cell:
    """PSNR / SSIM of a row with their spread over seeds, the best bold."""
    parts: list[str] = []
    for metric, score in row.scores[dataset].items():
        text = number(score.mean, metric)
        spread = "" if math.isnan(score.std) else f" ± {number(score.std, metric)}"
        parts += [" / " if parts else "", Bold(text) if (row, dataset, metric) in best else text, spread]
    return tuple(parts)


def difference(difference: Difference | None) -> Cell:
    """A difference in PSNR with its interval, bold if the interval leaves out zero."""
    if difference is None or difference.interval is None:
        return NONE if difference is None else number(difference.mean, "psnr", "+")
    mean, lower, upper = (number(value, "psnr", "+") for value in (difference.mean, *difference.interval))
    return Bold(mean) if difference.is_significant else mean, f" [{lower}, {upper}]"


def ratio(value: float) -> str:
    """A theoretical compression or speedup."""
    return NONE if math.isnan(value) else f"{value:.2f}"
