"""Percentile: a share of the values is clipped on each side."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from srq_baselines.percentile import Options, srq_init_bounds

from sr_ptq_bench import Distribution, SrqError
from sr_ptq_bench.quantization.distribution import BINS


def bounds(v: torch.Tensor, p: float) -> tuple[float, float]:
    lower, upper = srq_init_bounds(distribution=Distribution.of_tensor(v), options=Options(p=p)).tensors()
    return float(lower), float(upper)


def test_by_hand():
    v = torch.arange(1.0, 101.0)
    assert bounds(v, 0.1) == (10.0, 90.0)
    assert bounds(v, 0.25) == (25.0, 75.0)


def test_nothing_is_clipped_at_zero():
    assert bounds(torch.tensor([3.0, -1.0, 2.0]), 0.0) == (-1.0, 3.0)


@pytest.mark.parametrize("p", [1e-3, 1e-2, 0.2])
def test_the_share_that_is_clipped(p):
    v = torch.randn(BINS + 20_000, generator=torch.Generator().manual_seed(0))
    lower, upper = bounds(v, p)
    for share in (float((v < lower).double().mean()), float((v > upper).double().mean())):
        assert share == pytest.approx(p, abs=2e-4)


def test_outliers_are_cut():
    v = torch.cat([torch.linspace(-1, 1, 10_000), torch.tensor([1e4])])
    assert bounds(v, 1e-3)[1] < 1.0


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20),
    p=st.floats(0, 0.5, exclude_max=True),
)
def test_bounds_are_ordered_and_within_the_range(values, p):
    lower, upper = bounds(torch.tensor(values), p)
    assert min(values) <= lower <= upper <= max(values)


def test_options():
    assert Options.parse({}).p == 1e-3
    assert Options.parse({"p": "0.05"}).p == 0.05


@pytest.mark.parametrize("values", [{"p": 0.5}, {"p": -0.1}, {"p": "many"}, {"q": 0.1}, {"p": "nan"}])
def test_options_that_are_refused(values):
    with pytest.raises(SrqError):
        Options.parse(values)
