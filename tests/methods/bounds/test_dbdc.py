"""DBDC: the search by hand and against one that counts the tensor anew after every step."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from srq_baselines.dbdc import (
    BINS,
    Options,
    dense_bins,
    dual_clipping,
    srq_init_bounds,
)
from torch import Tensor

from sr_ptq_bench import Distribution, Site
from sr_ptq_bench.quantization.distribution import BINS as FINE_BINS

COUNTS = st.lists(st.integers(0, 10_000), min_size=1, max_size=60).filter(any)
SHARES = st.sampled_from([0.0, 1e-5, 1e-4, 5e-4, 1e-2, 0.1, 0.5, 0.9])


def options(**values) -> Options:
    return Options.parse(values)


def normal(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).float()


def pair(bounds) -> tuple[float, float]:
    return float(bounds.lower), float(bounds.upper)


def clipped(v: Tensor, p: float, offset: int = 0) -> tuple[float, float]:
    return pair(dual_clipping(Distribution.of_tensor(v), p, offset))


def two_pointers(counts: list[int], p: float) -> tuple[int, int]:
    """The loop as the paper states it: the mass is counted anew after every step."""
    low, high = 0, len(counts) - 1
    while sum(counts[low : high + 1]) > (1 - p) * sum(counts) and low < high:
        if counts[low] < counts[high]:
            low += 1
        else:
            high -= 1
    return low, high


def by_hand(v: Tensor, p: float) -> tuple[float, float]:
    """The bounds from the tensor itself."""
    v = v.double()
    low, high = two_pointers(torch.histc(v, BINS).tolist(), p)
    width = float(v.max() - v.min()) / BINS
    return float(v.min()) + low * width, float(v.min()) + (high + 1) * width


# The search


def test_the_emptier_end_goes_and_of_equals_the_upper_one():
    """20 elements, at most 18 may stay: the upper 1 goes, then the lower 1."""
    assert dense_bins([1, 5, 9, 4, 1], 0.1) == (1, 3)
    assert dense_bins([1, 5, 9, 4, 1], 0.05) == (0, 3)


def test_whole_bins_go_until_the_share_is_reached():
    """Of 20 elements 4 go at p = 0.1 and 0.2, and 8 at p = 0.3."""
    assert [dense_bins([5, 7, 4, 4], p) for p in (0.1, 0.2, 0.3)] == [(0, 2), (0, 2), (0, 1)]


def test_nothing_goes_at_zero():
    assert dense_bins([0, 3, 0], 0.0) == (0, 2)


def test_the_last_bin_stays():
    assert dense_bins([0, 0, 9, 0], 0.5) == (2, 2)
    assert dense_bins([4], 0.9) == (0, 0)


@settings(max_examples=300, deadline=None)
@given(counts=COUNTS, p=SHARES)
def test_the_search_is_the_plain_loop(counts, p):
    assert dense_bins(counts, p) == two_pointers(counts, p)


@settings(max_examples=200, deadline=None)
@given(counts=COUNTS, p=SHARES)
def test_at_most_the_share_stays_and_one_bin_more_would_be_too_much(counts, p):
    first, last = dense_bins(counts, p)
    inside, enough = sum(counts[first : last + 1]), (1 - p) * sum(counts)
    assert inside <= enough or first == last
    dropped_last = [*counts[max(first - 1, 0) : first], *counts[last + 1 : last + 2]]
    assert not dropped_last or inside + max(dropped_last) > enough


@settings(max_examples=200, deadline=None)
@given(counts=st.lists(st.integers(0, 10**6), min_size=1, max_size=60, unique=True).filter(any), p=SHARES)
def test_a_mirrored_histogram_gives_the_mirrored_range(counts, p):
    """Without ties neither end is preferred."""
    first, last = dense_bins(counts, p)
    assert dense_bins(counts[::-1], p) == (len(counts) - 1 - last, len(counts) - 1 - first)


@settings(max_examples=200, deadline=None)
@given(counts=COUNTS, shares=st.tuples(SHARES, SHARES))
def test_a_larger_share_gives_a_narrower_range(counts, shares):
    outer, inner = (dense_bins(counts, p) for p in sorted(shares))
    assert outer[0] <= inner[0] <= inner[1] <= outer[1]


# The bounds of an activation


@pytest.mark.parametrize("p", [1e-4, 1e-3, 0.05, 0.4])
def test_the_bounds_of_stored_values(p):
    v = normal(5000)
    assert clipped(v, p) == pytest.approx(by_hand(v, p), rel=1e-12)


@pytest.mark.parametrize("p", [5e-4, 1e-2])
def test_the_bounds_of_a_histogram(p):
    """The 2^16 bins were filled in float32, so that an element on an edge may lie one off."""
    v = normal(FINE_BINS + 40_000) ** 3
    assert Distribution.of_tensor(v).is_histogram
    width = float(v.max() - v.min()) / BINS
    assert clipped(v, p) == pytest.approx(by_hand(v, p), rel=0, abs=1.001 * width)


def test_a_histogram_of_fine_bins_falls_into_coarse_ones_exactly():
    """32 fine bins make one: three elements at each end, in the first and the last coarse bin only, are cut off."""
    fine = torch.zeros(FINE_BINS)
    fine[:32], fine[-32:], fine[32:-32] = 3 / 32, 3 / 32, 1000
    share = 5 / float(fine.sum())
    bounds = dual_clipping(Distribution(-4.0, 12.0, fine), share)
    assert pair(bounds) == (-4.0 + 16 / BINS, 12.0 - 16 / BINS)


def test_outliers_go_and_the_dense_side_stays():
    v = torch.cat([normal(40_000).abs(), torch.tensor([60.0, 80.0, 100.0])])
    lower, upper = clipped(v, 5e-4)
    assert lower == float(v.min())
    assert upper < 5.0


def test_the_released_code_s_lower_bound_is_one_bin_higher():
    v = normal(5000)
    (lower, upper), (shifted, same) = clipped(v, 1e-3), clipped(v, 1e-3, offset=1)
    assert same == upper
    assert shifted - lower == pytest.approx(float(v.max() - v.min()) / BINS, rel=1e-9)


@pytest.mark.parametrize("offset", [0, 1])
def test_a_constant_keeps_its_value(offset):
    assert clipped(torch.full((7,), 0.3), 1e-4, offset) == (pytest.approx(0.3), pytest.approx(0.3))


@settings(max_examples=200, deadline=None)
@given(
    values=st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1, max_size=30),
    p=SHARES,
    offset=st.integers(0, 1),
)
def test_bounds_are_ordered_and_within_the_range(values, p, offset):
    lower, upper = clipped(torch.tensor(values), p, offset)
    assert min(values) <= lower <= upper <= max(values)


@settings(max_examples=50, deadline=None)
@given(values=st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=30), p=SHARES, data=st.data())
def test_neither_order_nor_unit_matters(values, p, data):
    shuffled = data.draw(st.permutations(values))
    lower, upper = clipped(torch.tensor(values), p)
    assert clipped(torch.tensor(shuffled), p) == (lower, upper)
    assert clipped(torch.tensor(values) * 8, p) == (8 * lower, 8 * upper)


@pytest.mark.parametrize("input_kind", ["image", "gelu", "softmax", "query", "value"])
def test_every_activation_is_clipped_per_tensor(input_kind):
    v = normal(6000).view(2, 3, 1000)
    site = Site("x", "activation", input_kind, channel_axis=1)
    bounds = srq_init_bounds(site=site, distribution=Distribution.of_tensor(v, 1), bits=4, options=options())
    assert pair(bounds) == pytest.approx(by_hand(v, 5e-4), rel=1e-12)
