"""The closed forms of theoretical compression and speedup."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sr_ptq_bench.records.complexity import Complexity, theoretical_ratio

BY_BITS = st.dictionaries(st.integers(1, 32), st.integers(0, 10**12), max_size=6)


def complexity(**values: object) -> Complexity:
    return Complexity.model_validate({"parameters": {32: 1}, "macs": {32: 1}, "lr_pixels": 1} | values)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [({}, 1), ({32: 7}, 1), ({32: 0, 4: 5}, 8), ({4: 5}, 8), ({8: 1, 2: 3}, 128 / 14), ({32: 1, 4: 8}, 288 / 64)],
)
def test_a_ratio_by_hand(counts: dict[int, int], expected: float) -> None:
    assert theoretical_ratio(counts) == expected


@pytest.mark.parametrize(("bits", "expected"), [(4, 3.07), (3, 3.31), (2, 3.60)])
def test_the_compression_that_the_paper_prints(bits: int, expected: float) -> None:
    assert round(complexity(parameters={32: 205_800, bits: 691_200}).compression, 2) == expected


@pytest.mark.parametrize(("bits", "expected"), [(4, 3.99), (3, 4.47), (2, 5.08)])
def test_the_speedup_that_the_paper_prints(bits: int, expected: float) -> None:
    assert round(complexity(macs={32: 240, bits: 1434}).speedup, 2) == expected


@given(BY_BITS)
def test_a_ratio_lies_between_those_of_its_bits(counts: dict[int, int]) -> None:
    present = [bits for bits, count in counts.items() if count] or [32]
    assert 32 / max(present) * (1 - 1e-12) <= theoretical_ratio(counts) <= 32 / min(present) * (1 + 1e-12)


@given(BY_BITS, st.integers(2, 1000))
def test_a_ratio_does_not_depend_on_the_unit(counts: dict[int, int], factor: int) -> None:
    assert theoretical_ratio({bits: factor * count for bits, count in counts.items()}) == pytest.approx(
        theoretical_ratio(counts)
    )


@pytest.mark.parametrize("counts", [{0: 1}, {33: 1}, {4: -1}, {4: 0.5}])
def test_what_cannot_be_counted_is_refused(counts: dict[int, float]) -> None:
    for where in ("parameters", "macs"):
        with pytest.raises(ValidationError):
            complexity(**{where: counts})


def test_an_image_has_pixels() -> None:
    with pytest.raises(ValidationError):
        complexity(lr_pixels=0)
