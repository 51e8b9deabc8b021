"""The ranges of channels, on any axis of any tensor."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shapes import normal

from sr_ptq_bench.quantization.distribution import Distribution, channel_range


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
