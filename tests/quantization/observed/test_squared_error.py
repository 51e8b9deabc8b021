"""The error of bounds on a distribution against that on the tensor."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracle import FLOAT64, squared_errors
from shapes import LARGE, SHAPES

from sr_ptq_bench import SrqError
from sr_ptq_bench.quantization.distribution import BINS, Distribution

FLOATS = st.floats(-(2.0**19), 2.0**19, width=32)


def candidates(v: torch.Tensor, count: int = 9) -> tuple[torch.Tensor, torch.Tensor]:
    low, high = float(v.min()), float(v.max())
    share = torch.linspace(0, 0.49, count, dtype=FLOAT64)
    return low + share * (high - low), high - 0.7 * share * (high - low)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_error_of_a_small_tensor_is_exact(shape, bits):
    v = SHAPES[shape](800)
    lower, upper = candidates(v)
    errors = Distribution.of_tensor(v).squared_error(lower, upper, bits)
    assert errors.dtype == FLOAT64
    torch.testing.assert_close(errors, squared_errors(v, lower, upper, bits), rtol=1e-9, atol=1e-9)


def within(histogram_error: torch.Tensor, exact: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Each element lies at most 0.6 bins from its bin's centre, and its distance to the nearest level moves no more.

    So the norms of the two error vectors differ by at most sqrt(N) times that.
    """
    width = float(v.max() - v.min()) / BINS
    return (histogram_error.sqrt() - exact.sqrt()).abs() <= 0.6 * width * math.sqrt(v.numel()) + 1e-9


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_error_of_a_large_tensor_is_within_a_bin(shape, bits):
    v = SHAPES[shape](LARGE)
    lower, upper = candidates(v, 4)
    distribution = Distribution.of_tensor(v)
    assert distribution.is_histogram
    errors, exact = distribution.squared_error(lower, upper, bits), squared_errors(v, lower, upper, bits)
    assert bool(within(errors, exact, v).all())
    torch.testing.assert_close(errors, exact, rtol=2e-2 if shape == "outlier" else 2e-3, atol=0)


def test_error_by_hand():
    """Levels 0, 1, 2, 3; what lies beyond is clipped."""
    v = torch.tensor([-2.0, 0.25, 0.5, 1.5, 2.9, 5.0, 5.0])
    error = Distribution.of_tensor(v).squared_error(torch.tensor([0.0]), torch.tensor([3.0]), 2)
    assert float(error) == pytest.approx(4 + 0.0625 + 0.25 + 0.25 + 0.01 + 4 + 4, rel=1e-6)


def test_error_at_the_levels_is_zero():
    v = torch.arange(16.0)
    assert Distribution.of_tensor(v).squared_error(torch.tensor([0.0]), torch.tensor([15.0]), 4).tolist() == [0.0]


def test_error_of_equal_bounds_is_the_distance_to_them():
    v = torch.tensor([1.0, 2.0, 4.0])
    error = Distribution.of_tensor(v).squared_error(torch.tensor([2.0]), torch.tensor([2.0]), 4)
    assert error.tolist() == [5.0]


@settings(max_examples=80, deadline=None)
@given(
    values=st.lists(FLOATS, min_size=1, max_size=30),
    ends=st.lists(st.tuples(FLOATS, FLOATS), min_size=1, max_size=4),
    bits=st.integers(2, 8),
)
def test_error_of_anything(values, ends, bits):
    v = torch.tensor(values)
    lower = torch.tensor([min(pair) for pair in ends], dtype=FLOAT64)
    upper = torch.tensor([max(pair) for pair in ends], dtype=FLOAT64)
    assume(bool(((upper == lower) | (upper - lower > 1e-6)).all()))
    errors = Distribution.of_tensor(v).squared_error(lower, upper, bits)
    scale = max(float(v.double().abs().max()), float(lower.abs().max()), float(upper.abs().max()), 1e-300)
    atol = 1e-11 * len(values) * scale**2  # prefix sums of squares cancel
    assert bool((errors >= 0).all())
    torch.testing.assert_close(errors, squared_errors(v, lower, upper, bits), rtol=1e-9, atol=atol)


@pytest.mark.parametrize("kind", [float, np.float32, np.float64, torch.tensor, lambda end: torch.tensor(int(end))])
def test_the_error_of_one_pair_of_numbers(kind):
    distribution = Distribution.of_tensor(torch.tensor([0.0, 0.4, 1.0, 3.5]))
    error = distribution.squared_error(kind(0.0), kind(3.0), 2)
    assert error.shape == ()
    assert float(error) == pytest.approx(0.4**2 + 0.5**2)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
def test_the_errors_of_arrays(dtype):
    distribution = Distribution.of_tensor(torch.tensor([0.0, 0.4, 1.0, 3.5]))
    errors = distribution.squared_error(0, np.array([3, 6], dtype), 2)
    assert errors.tolist() == pytest.approx([0.4**2 + 0.5**2, 0.4**2 + 1 + 0.5**2])
    assert torch.equal(errors, distribution.squared_error([0.0, 0.0], torch.tensor([3.0, 6.0]), 2))


@pytest.mark.parametrize(
    ("lower", "upper"), [("a", 1.0), (None, 1.0), ([0.0, 1.0], [1.0, 2.0, 3.0]), (torch.zeros(2, 2), torch.ones(2, 2))]
)
def test_bounds_that_have_no_error(lower, upper):
    with pytest.raises(SrqError, match=r"^squared_error takes "):
        Distribution.of_tensor(torch.zeros(3)).squared_error(lower, upper, 2)


@pytest.mark.parametrize("offset", [-1e5, -3e3, 0.5, 2e4, 1e6])
def test_errors_far_from_zero_keep_their_digits(offset):
    v = torch.linspace(0, 0.25, 2**10, dtype=torch.float64).float() + torch.tensor(offset)
    distribution = Distribution.of_tensor(v)
    lower, upper = distribution.minimum, distribution.maximum
    step = (upper - lower) / 15
    exact = v.double()
    nearest = lower + ((exact - lower) / step).round() * step
    expected = float((exact - nearest).square().sum())
    assert float(distribution.squared_error(lower, upper, 4)) == pytest.approx(expected, rel=1e-6)
    assert distribution.quantile(0.5) == float(v.sort().values[v.numel() // 2 - 1])
