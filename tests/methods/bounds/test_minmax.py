"""MinMax: the exact range."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from srq_baselines.minmax import srq_init_bounds

from sr_ptq_bench import Distribution
from sr_ptq_bench.quantization.distribution import BINS


@pytest.mark.parametrize("count", [1, 50, BINS + 9])
def test_the_bounds_are_the_range(count):
    v = torch.randn(count, generator=torch.Generator().manual_seed(0))
    lower, upper = srq_init_bounds(distribution=Distribution.of_tensor(v)).tensors()
    assert (float(lower), float(upper)) == (float(v.min()), float(v.max()))


@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1, max_size=20))
def test_any_finite_values(values):
    lower, upper = srq_init_bounds(distribution=Distribution.of_tensor(torch.tensor(values))).tensors()
    assert (float(lower), float(upper)) == (min(values), max(values))
