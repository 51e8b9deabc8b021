"""A distribution against the tensor that it stands for."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracle import FLOAT64, squared_errors

from sr_ptq_bench import SrqError
from sr_ptq_bench.quantization.distribution import BINS, Distribution, channel_range, histogram

LARGE = BINS + 4000  # just enough that a histogram is kept
FLOATS = st.floats(-(2.0**19), 2.0**19, width=32)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def laplace(count: int) -> torch.Tensor:
    u = torch.rand(count, generator=torch.Generator().manual_seed(1)) - 0.5
    return -torch.sign(u) * torch.log1p(-2 * u.abs())


SHAPES = {
    "normal": normal,
    "laplace": laplace,
    "gelu": lambda n: F.gelu(normal(n)),
    "softmax": lambda n: torch.softmax(3 * normal(math.ceil(n / 16), 16), -1).flatten()[:n],
    "one-sided": lambda n: normal(n).abs() + 2,
    "relu": lambda n: F.relu(normal(n)),
    "outlier": lambda n: torch.cat([normal(n - 1), torch.tensor([60.0])]),
}


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


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (4, 1, 6), (2, 3, 4, 5), (7,), (1, 3, 1), (4000, 3), (2, 40000)])
def test_channel_range_is_amin_and_amax(shape):
    v = normal(*shape)
    for axis in range(-len(shape), len(shape)):
        others = [a for a in range(len(shape)) if a != axis % len(shape)]
        low, high = channel_range(v, axis)
        assert torch.equal(low, v.amin(others) if others else v)
        assert torch.equal(high, v.amax(others) if others else v)


def test_channel_range_of_a_wide_convolution():
    """More rows than are folded at once, and each of them strided."""
    weight = normal(256, 64, 3, 3)
    low, high = channel_range(weight, 0)
    assert torch.equal(low, weight.amin((1, 2, 3)))
    assert torch.equal(high, weight.amax((1, 2, 3)))


def test_channel_range_of_a_strided_tensor():
    v = normal(6, 8, 5).transpose(0, 2)[:, ::2]
    low, high = channel_range(v, 1)
    assert torch.equal(low, v.amin((0, 2)))
    assert torch.equal(high, v.amax((0, 2)))


@settings(max_examples=40, deadline=None)
@given(shape=st.lists(st.integers(1, 6), min_size=1, max_size=4), seed=st.integers(0, 9), data=st.data())
def test_channel_range_of_anything(shape, seed, data):
    v = normal(*shape, seed=seed)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    rows = v.movedim(axis, 0).flatten(1) if len(shape) > 1 else v[:, None]
    low, high = channel_range(v, axis)
    assert torch.equal(low, rows.amin(1))
    assert torch.equal(high, rows.amax(1))


def test_of_tensor_keeps_the_ranges_of_channels():
    v = normal(3, 4)
    distribution = Distribution.of_tensor(v, 0)
    assert torch.equal(distribution.channel_minimum, v.amin(1))
    assert torch.equal(distribution.channel_maximum, v.amax(1))
    assert Distribution.of_tensor(v).channel_minimum is None


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


@pytest.mark.parametrize("elements", [100, 2**16 + 1])
def test_the_quantiles_0_and_1_are_the_ends(elements):
    v = torch.randn(elements, generator=torch.Generator().manual_seed(0))
    distribution = Distribution.of_tensor(v)
    assert (distribution.quantile(0), distribution.quantile(1.0)) == (float(v.min()), float(v.max()))


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
