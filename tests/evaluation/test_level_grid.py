"""Distinct levels are counted in tensors and in the results of quantizers, against levels that were put there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from sr_ptq_bench import Bounds, LogSqrt2Quantizer, Quantizer, Site, TwinUniformQuantizer
from sr_ptq_bench.evaluation.levels import LARGEST, Grid, grouped

WEIGHT = Site("fc1.weight", "weight", "parameter", 0, layer="linear")


def counted(*calls):
    grid = Grid()
    for rows in calls:
        grid.add(torch.as_tensor(rows, dtype=torch.float32).reshape(1, -1) if np.ndim(rows) < 2 else rows)
    return grid.most()


# The grid


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        ([0.0], 1),
        ([3.0, 3.0, 3.0], 1),
        ([-1.0, 1.0], 2),
        ([0.0, 1.0, 2.0, 2.0, 5.0], 4),
        ([0.0, -0.0], 1),
        ([1e-30, 2e-30, 3e-30], 3),
        ([-1e30, 0.0, 1e30], 3),
        ([1e6, 1e6 + 8], 2),
        ([-3e38, 3e38], 2),
    ],
)
def test_levels_of_one_tensor(values, levels):
    assert counted(values) == levels


def test_nothing_seen_is_no_level():
    assert Grid().most() == 0


@pytest.mark.parametrize("odd", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_not_counted(odd):
    assert counted([0.0, 1.0], [odd, 7.0]) == 2


def test_values_without_levels_have_the_largest_count():
    assert counted(torch.linspace(0, 1, 10**6), [5.0]) == LARGEST


@pytest.mark.parametrize("magnitude", [1.0, 300.0])
def test_levels_that_differ_by_more_than_rounding_are_different(magnitude):
    """Sixteen that halve, beside the same and a hundred thousandth of the range more."""
    levels = magnitude * 2.0 ** -torch.arange(16.0)
    assert counted(levels) == 16
    assert counted(torch.cat([levels, levels + 1e-5 * magnitude])) == 32


def test_levels_of_channels_are_found_however_many_there_are():
    rows = torch.arange(200.0)[:, None] / 7 + torch.arange(250.0)[None].repeat(200, 2) / 3
    assert counted(rows) == 250
    assert counted(rows, rows + 1 / 6) == 500


def test_levels_of_several_tensors_are_those_of_all():
    assert counted([0.0, 1.0], [1.0, 2.0], [-4.0], [0.0, 16.0]) == 5


def test_levels_that_differ_by_rounding_are_one():
    noise = 1 + 1e-7 * torch.rand(1000, generator=torch.Generator().manual_seed(0))
    assert counted(torch.cat([noise * level for level in (0.25, 0.5, 1.0)])) == 3


def test_of_groups_the_one_with_most_levels_counts():
    assert counted(torch.tensor([[0.0, 1.0, 2.0], [5.0, 5.0, 6.0]])) == 3
    assert counted(torch.tensor([[0.0, 1.0], [100.0, 101.0]]), torch.tensor([[1.0, 0.0], [1000.0, 100.0]])) == 3


@given(
    st.lists(st.integers(-300, 300), min_size=1, max_size=60),
    st.floats(1e-6, 1e6),
    st.floats(-100, 100),
    st.integers(1, 8),
)
def test_any_uniform_levels_in_any_order_and_in_any_calls(codes, step, offset, size):
    """Each float32 value is within 1e-7 of its level; the oracle counts integers."""
    values = [np.float32((offset + code) * step) for code in codes]
    calls = [values[start : start + size] for start in range(0, len(values), size)]
    assert counted(*calls) == len(set(codes))


@given(st.integers(0, 2**16), st.integers(2, 8), st.integers(2, 5))
def test_groups_do_not_touch_each_other(seed, levels, groups):
    generator = np.random.default_rng(seed)
    codes = generator.integers(0, levels, (groups, 30))
    steps, offsets = generator.uniform(0.1, 10, (groups, 1)), generator.uniform(-50, 50, (groups, 1))
    rows = torch.tensor(offsets + steps * codes, dtype=torch.float32)
    assert counted(rows, rows.flip(1)) == max(len(set(row)) for row in codes.tolist())


# Quantizers


def with_bounds(made, lower=0.0, upper=1.0):
    made.set_bounds(Bounds(torch.as_tensor(lower), torch.as_tensor(upper)))
    return made


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("kind", [Quantizer, LogSqrt2Quantizer, TwinUniformQuantizer])
def test_the_kinds_of_the_host_have_no_more_levels_than_their_bits(kind, bits):
    v = torch.linspace(-2, 2, 10**5)
    levels = counted(with_bounds(kind(WEIGHT, bits), -1.0, 1.0)(v))
    expected = {Quantizer: 2**bits, TwinUniformQuantizer: 2**bits - 1}
    assert levels == expected.get(kind, levels) <= 2**bits


def test_a_channel_with_bounds_of_its_own_has_levels_of_its_own():
    v = torch.randn(16, 40, generator=torch.Generator().manual_seed(1))
    quantizer = with_bounds(Quantizer(WEIGHT, 2), v.amin(1), v.amax(1))
    rows = grouped(quantizer, quantizer(v))
    assert counted(rows) == 4
    assert counted(rows.reshape(1, -1)) > 4


class Stepped(Quantizer):
    """A step for each channel beside bounds for the whole tensor."""

    levels_per_channel = True

    def __init__(self, site, bits):
        super().__init__(site, bits)
        self.step = nn.Parameter(torch.tensor([0.3, 0.7]), requires_grad=False)

    def quantize(self, v):
        return (v / self.step[:, None]).round().clamp(0, 3) * self.step[:, None]


def test_numbers_per_channel_that_are_announced_make_groups():
    quantizer = Stepped(WEIGHT, 2)
    rows = grouped(quantizer, quantizer(torch.linspace(-1, 5, 60).repeat(2, 1)))
    assert rows.shape == (2, 60)
    assert counted(rows) == 4


class Codebook(Quantizer):
    """The levels themselves as a tensor: of 4 for 2 bits, in a site of 4 channels."""

    def __init__(self, site, bits):
        super().__init__(site, bits)
        self.register_buffer("codes", torch.linspace(0, 1, 2**bits))


@pytest.mark.parametrize("channels", [3, 4])
def test_a_codebook_as_long_as_there_are_channels_is_of_the_whole_tensor(channels):
    assert grouped(Codebook(WEIGHT, 2), torch.rand(channels, 5)).shape == (1, 5 * channels)


@pytest.mark.parametrize(("shape", "axis"), [((2, 5, 3), -1), ((1, 3, 4, 5), 1), ((3, 7), 0), ((6, 3), 1)])
@pytest.mark.parametrize("kind", [Quantizer, LogSqrt2Quantizer])
def test_channels_on_any_axis_of_a_small_tensor(shape, axis, kind):
    """A channel's values lie apart in memory; each channel has its own range."""
    channels_last = torch.rand(1000, 3, generator=torch.Generator().manual_seed(2)) + 10.0 * torch.arange(3)
    v = channels_last[: np.prod(shape) // 3].view(*np.delete(shape, axis), 3).movedim(-1, axis)
    rows = v.movedim(axis, 0).flatten(1)
    site = Site("fc1.input", "activation", "linear", axis, layer="linear")
    quantizer = with_bounds(kind(site, 2), rows.amin(1), rows.amax(1))
    v_q = quantizer(v)
    expected = max(len(set(channel.flatten().tolist())) for channel in v_q.unbind(axis))
    assert counted(grouped(quantizer, v_q)) == expected <= 4
