"""A distribution holds its tensor: exactly, or as a histogram over its range."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import FLOAT64
from shapes import LARGE, SHAPES, normal

from sr_ptq_bench.quantization.distribution import BINS, Distribution, histogram

FLOATS = st.floats(-(2.0**19), 2.0**19, width=32)


@pytest.mark.parametrize("count", [5, LARGE])
def test_the_range_is_exact(count):
    v = normal(count)
    distribution = Distribution.of_tensor(v)
    assert (distribution.minimum, distribution.maximum) == (float(v.min()), float(v.max()))
    assert distribution.count == count


def test_a_small_tensor_keeps_its_values_and_their_counts():
    distribution = Distribution.of_tensor(torch.tensor([[3.0, 1.0], [3.0, -2.0]]))
    assert distribution.values.tolist() == [-2.0, 1.0, 3.0]
    assert distribution.counts.tolist() == [1.0, 1.0, 2.0]
    assert not distribution.is_histogram


def test_exactly_as_many_elements_as_bins_is_still_exact():
    distribution = Distribution.of_tensor(torch.arange(BINS, dtype=torch.float32))
    assert not distribution.is_histogram
    assert torch.equal(distribution.values, torch.arange(BINS, dtype=FLOAT64))


def test_one_element_more_than_bins_is_a_histogram():
    assert Distribution.of_tensor(torch.arange(BINS + 1, dtype=torch.float32)).is_histogram


def test_a_histogram_has_its_centres_between_the_ends():
    counts = torch.tensor([1, 0, 2, 1])
    distribution = Distribution(-2.0, 6.0, counts)
    assert distribution.values.tolist() == [-1.0, 1.0, 3.0, 5.0]
    assert distribution.counts.tolist() == [1.0, 0.0, 2.0, 1.0]
    assert distribution.count == 4


@pytest.mark.parametrize("value", [0.0, 3.0, -1e-30, 1e20])
@pytest.mark.parametrize("count", [1, 7, LARGE])
def test_a_constant(value, count):
    v = torch.full((count,), value)
    distribution = Distribution.of_tensor(v)
    assert distribution.minimum == distribution.maximum == float(v[0])
    assert distribution.count == count
    assert distribution.quantile(0.5) == float(v[0])
    end = v[:1].double()
    assert float(distribution.squared_error(end, end, 4)) == pytest.approx(0, abs=1e-10 * count * value**2)


def test_a_single_element():
    distribution = Distribution.of_tensor(torch.tensor(2.5))
    assert (distribution.count, distribution.values.tolist()) == (1, [2.5])
    assert [distribution.quantile(share) for share in (0.0, 0.3, 1.0)] == [2.5, 2.5, 2.5]


@pytest.mark.parametrize("width", [1e-38, 1e-34, 1e-20])
def test_a_histogram_over_a_vanishing_range(width):
    v = torch.zeros(LARGE)
    v[-1] = width
    assert Distribution.of_tensor(v).count == LARGE


def test_a_tensor_that_learns_can_be_observed():
    v = normal(6).requires_grad_()
    distribution = Distribution.of_tensor(v, 0)
    assert not distribution.values.requires_grad


def test_histogram_by_hand():
    v = torch.tensor([0.0, 0.1, 1.01, 1.5, 3.9, 4.0])
    assert histogram(v, torch.tensor(0.0), torch.tensor(4.0), bins=4).tolist() == [2, 2, 0, 2]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_element_is_within_its_bin(shape):
    v = SHAPES[shape](3000)
    low, high = v.aminmax()
    counts = histogram(v, low, high, bins=64)
    centres = Distribution(float(low), float(high), counts).values
    again = torch.repeat_interleave(centres, counts)
    assert counts.sum() == 3000
    assert float((again - v.double().sort().values).abs().max()) <= 0.51 * float(high - low) / 64


@settings(max_examples=60, deadline=None)
@given(values=st.lists(FLOATS, min_size=1, max_size=30), bins=st.sampled_from([2, 16, BINS]))
def test_the_counts_sum_to_the_elements_and_hold_both_ends(values, bins):
    v = torch.tensor(values)
    low, high = v.aminmax()
    counts = histogram(v, low, high, bins)
    assert int(counts.sum()) == len(values)
    assert int(counts[0]) > 0
    assert low == high or int(counts[-1]) > 0


def test_histograms_of_parts_add_up():
    v = normal(500)
    low, high = v.aminmax()
    parts = sum(histogram(part, low, high, 32) for part in v.split(170))
    assert torch.equal(parts, histogram(v, low, high, 32))
