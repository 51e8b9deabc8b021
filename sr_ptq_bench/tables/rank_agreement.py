"""Whether the order of the methods here agrees with the published order, if that is clear."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from . import cells
from .rows import DIGITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MIN_GAP_DB = 0.3
"""PSNR in dB: published scores that differ by less do not decide an order."""


@dataclass(frozen=True)
class RankedMethod:
    """A method at a bit-width and scope (`among`) with its mean PSNR on a test set on both sides."""

    label: str
    among: tuple[tuple[int, int], str]
    measured: float
    published: float


@dataclass(frozen=True)
class SeparatedPair:
    """Two methods, the winner first; its published score is clearly above the other's."""

    winner: RankedMethod
    other: RankedMethod

    @property
    def holds(self) -> bool:
        """Whether the winner is ahead here too."""
        return self.winner.measured > self.other.measured

    def __str__(self) -> str:
        (weight, activation), _ = self.winner.among
        published, measured = (
            cells.number(getattr(self.winner, side) - getattr(self.other, side), "psnr", "+")
            for side in ("published", "measured")
        )
        pair = f"{self.winner.label} over {self.other.label} at {weight}/{activation}"
        return f"{pair}: published {published}, measured {measured}"


def separated_pairs(standings: Iterable[RankedMethod]) -> Iterator[SeparatedPair]:
    """All pairs of the same bits and scope whose published scores differ clearly, the published winner first."""
    for one, other in combinations(standings, 2):
        gap = round(abs(one.published - other.published), DIGITS["psnr"])  # as printed: 30.3 - 30.0 is not above 0.3
        is_pair = one.among == other.among and one.label != other.label  # a method may be published by two sources
        if is_pair and gap > MIN_GAP_DB:
            better, worse = (one, other) if one.published > other.published else (other, one)
            yield SeparatedPair(better, worse)


def note(dataset: str, standings: Sequence[RankedMethod]) -> str:
    """A sentence for a table: how many clear pairs keep their order, and which do not; empty without clear pairs."""
    pairs = list(separated_pairs(standings))
    if not pairs:
        return ""
    against = [pair for pair in pairs if not pair.holds]
    kept = f"{len(pairs) - len(against)} of {len(pairs)} pairs of methods"
    said = f"{dataset}: {kept} published more than {MIN_GAP_DB} dB apart at the same bits stand in the same order here"
    return f"{said}; not so {'; '.join(map(str, against))}." if against else f"{said}."
