"""Where bounds lie within a distribution, in percent of its elements."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sr_ptq_bench import Bounds, Distribution
from sr_ptq_bench.plots.bounds import percentiles

HUNDRED = torch.arange(100, dtype=torch.float32)


@pytest.mark.parametrize(
    ("lower", "upper", "below", "upto"),
    [(0, 99, 0, 100), (-5, 200, 0, 100), (10, 89, 10, 90), (0.5, 98.5, 1, 99), (50, 50, 50, 51), (99, 99, 99, 100)],
)
def test_the_share_below_the_lower_bound_and_not_above_the_upper_one(lower, upper, below, upto):
    found = percentiles(Distribution.of_tensor(HUNDRED), Bounds(lower, upper))
    assert found == pytest.approx({"lower": below, "upper": upto})


def test_of_bounds_per_channel_it_is_the_mean():
    bounds = Bounds(torch.tensor([0.0, 20.0]), torch.tensor([99.0, 49.0]))
    assert percentiles(Distribution.of_tensor(HUNDRED), bounds) == pytest.approx({"lower": 10, "upper": 75})


@given(st.integers(0, 2**32 - 1), st.floats(-4, 4), st.floats(-4, 4))
def test_a_histogram_gives_what_its_elements_give(seed, one, other):
    v = torch.randn(70_000, generator=torch.Generator().manual_seed(seed))
    lower, upper = min(one, other), max(one, other)
    found = percentiles(Distribution.of_tensor(v), Bounds(lower, upper))
    assert found["lower"] == pytest.approx(float((v < lower).double().mean()) * 100, abs=0.05)
    assert found["upper"] == pytest.approx(float((v <= upper).double().mean()) * 100, abs=0.05)


def test_the_ends_of_a_histogram_are_exact():
    v = torch.randn(70_000, generator=torch.Generator().manual_seed(0))
    ends = Bounds(float(v.min()), float(v.max()))
    assert percentiles(Distribution.of_tensor(v), ends) == {"lower": 0, "upper": pytest.approx(100)}
