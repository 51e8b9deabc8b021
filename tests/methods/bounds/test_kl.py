"""KL: divergences against the histograms written out, bin by bin in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from srq_baselines.kl import Options, Sums, divergences, srq_init_bounds

from sr_ptq_bench import Distribution


def divergence(counts: np.ndarray, first: int, last: int, levels: int) -> float:
    """P and Q bin by bin."""
    window = counts[first:last].astype(float)
    p = window.copy()
    p[0] += counts[:first].sum()
    p[-1] += counts[last:].sum()
    q = np.zeros_like(p)
    for level in range(levels):
        part = slice(level * len(p) // levels, (level + 1) * len(p) // levels)
        filled = p[part] > 0
        if filled.any():
            q[part] = np.where(filled, window[part].sum() / filled.sum(), 0)
    if window.sum() == 0:
        return np.inf
    p, q = p / p.sum(), q / q.sum()
    return float(sum(a * np.log(a / (b or 1e-4)) for a, b in zip(p, q, strict=True) if a > 0))


def test_by_hand():
    """Counts 1, 3 | 2, 2 in two ranges: Q is 2, 2 | 2, 2 of 8."""
    sums = Sums.of(torch.tensor([1.0, 3.0, 2.0, 2.0], dtype=torch.float64))
    found = divergences(sums, torch.tensor([0]), torch.tensor([4]), 2)
    assert float(found) == pytest.approx((np.log(1 / 2) + 3 * np.log(3 / 2)) / 8)


@settings(max_examples=100, deadline=None)
@given(
    counts=st.lists(st.integers(0, 9), min_size=8, max_size=24).filter(any),
    levels=st.sampled_from([2, 4]),
    data=st.data(),
)
def test_every_window(counts, levels, data):
    first = data.draw(st.integers(0, len(counts) - levels))
    last = data.draw(st.integers(first + levels, len(counts)))
    sums = Sums.of(torch.tensor(counts, dtype=torch.float64))
    found = float(divergences(sums, torch.tensor([first]), torch.tensor([last]), levels))
    assert found == pytest.approx(divergence(np.array(counts), first, last, levels), abs=1e-9)


def bounds(v: torch.Tensor, bits: int = 4) -> tuple[float, float]:
    distribution = Distribution.of_tensor(v)
    lower, upper = srq_init_bounds(distribution=distribution, bits=bits, options=Options()).tensors()
    return float(lower), float(upper)


def test_the_least_window_of_a_one_sided_tensor():
    v = torch.rand(4000, generator=torch.Generator().manual_seed(0)) ** 4
    counts, edges = np.histogram(v.double().numpy(), 2048)
    best = min(range(16, 2049), key=lambda last: divergence(counts, 0, last, 16))
    assert bounds(v) == pytest.approx((float(v.min()), edges[best]), rel=1e-6)
    assert best < 2048


def test_outliers_are_cut_at_both_ends():
    v = torch.cat([torch.randn(100_000, generator=torch.Generator().manual_seed(0)), torch.tensor([-40.0, 60.0])])
    lower, upper = bounds(v, 4)
    assert -10 < lower < -1 < 1 < upper < 10


def test_a_constant():
    assert bounds(torch.full((9,), 3.0)) == (3.0, 3.0)


@settings(max_examples=50, deadline=None)
@given(values=st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20), bits=st.integers(2, 8))
def test_bounds_are_within_the_range(values, bits):
    lower, upper = bounds(torch.tensor(values), bits)
    assert min(values) <= lower <= upper <= max(values)
