"""Quantiles of a distribution against those of the tensor."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shapes import LARGE, SHAPES, normal

from sr_ptq_bench.quantization.distribution import BINS, Distribution

FLOATS = st.floats(-(2.0**19), 2.0**19, width=32)


@pytest.mark.parametrize("shape", ["normal", "relu", "softmax"])
@pytest.mark.parametrize("share", [0.0, 1e-3, 0.1, 0.5, 0.77, 0.999, 1.0])
def test_quantile_of_a_small_tensor_is_numpy_s(shape, share):
    v = SHAPES[shape](997)
    expected = np.quantile(v.double().numpy(), share, method="inverted_cdf")
    assert Distribution.of_tensor(v).quantile(share) == float(expected)


@pytest.mark.parametrize("shape", ["normal", "gelu", "one-sided"])
@pytest.mark.parametrize("share", [0.0, 1e-3, 0.25, 0.5, 0.999, 1.0])
def test_quantile_of_a_large_tensor_is_within_a_bin(shape, share):
    v = SHAPES[shape](LARGE)
    distribution = Distribution.of_tensor(v)
    expected = float(np.quantile(v.double().numpy(), share, method="inverted_cdf"))
    bin_width = (distribution.maximum - distribution.minimum) / BINS
    assert abs(distribution.quantile(share) - expected) <= bin_width


@settings(max_examples=80, deadline=None)
@given(values=st.lists(FLOATS, min_size=1, max_size=20), share=st.floats(0, 1))
def test_quantile_is_the_least_value_with_enough_below(values, share):
    v = torch.tensor(values, dtype=torch.float32)
    quantile = Distribution.of_tensor(v).quantile(share)
    assert quantile in v.tolist()
    assert int((v <= quantile).sum()) >= share * len(values)
    below = v[v < quantile]
    assert below.numel() == 0 or below.numel() < share * len(values)


@pytest.mark.parametrize("shares", [(0.1, 0.2), (0.5, 0.50001), (0.0, 1.0)])
def test_quantiles_ascend(shares):
    distribution = Distribution.of_tensor(normal(LARGE))
    assert distribution.quantile(shares[0]) <= distribution.quantile(shares[1])


@pytest.mark.parametrize("elements", [100, 2**16 + 1])
def test_the_quantiles_0_and_1_are_the_ends(elements):
    v = torch.randn(elements, generator=torch.Generator().manual_seed(0))
    distribution = Distribution.of_tensor(v)
    assert (distribution.quantile(0), distribution.quantile(1.0)) == (float(v.min()), float(v.max()))
