"""Fake quantization against eq. 1 written out; its gradients have a file of their own."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracle import FLOAT64, channel_bounds, differentiated, gradients, normal, quantized, scalar

from sr_ptq_bench.quantization.fake_quantize import fake_quantize

BITS = (2, 3, 4, 8)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 5), (2, 3, 4, 5)])
def test_forward_is_equation_1(bits, shape):
    v, lower, upper = normal(*shape), scalar(-0.7), scalar(1.3)
    torch.testing.assert_close(
        fake_quantize(v, lower, upper, bits), quantized(v, lower, upper, bits), rtol=0, atol=1e-14
    )


def test_two_bits_by_hand():
    v = torch.tensor([-9.0, -1.0, -0.51, -0.49, 0.0, 0.4, 0.6, 1.4, 1.6, 2.0, 9.0])
    expected = torch.tensor([-1.0, -1.0, -1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 2.0])
    assert torch.equal(fake_quantize(v, torch.tensor(-1.0), torch.tensor(2.0), 2), expected)


def test_a_lower_bound_is_real_and_not_an_integer_multiple_of_the_step():
    v = torch.tensor([0.0, 0.25, 5.0], dtype=FLOAT64)
    torch.testing.assert_close(
        fake_quantize(v, scalar(0.1), scalar(3.1), 2), torch.tensor([0.1, 0.1, 3.1], dtype=FLOAT64), rtol=0, atol=1e-15
    )


@pytest.mark.parametrize("bits", BITS)
def test_float32_is_within_half_a_step_of_the_clipped_value(bits):
    v, lower, upper = normal(5000, dtype=torch.float32), torch.tensor(-1.1), torch.tensor(1.9)
    step = 3.0 / (2**bits - 1)
    q = fake_quantize(v, lower, upper, bits)
    assert q.dtype == torch.float32
    assert float((q - v.clamp(lower, upper)).abs().max()) <= step / 2 + 1e-6
    levels = (q.double() + 1.1) / step
    assert float((levels - levels.round()).abs().max()) < 1e-4


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("bits", (2, 4))
def test_forward_per_channel_is_each_channel_alone(axis, bits):
    v = normal(3, 4, 5)
    channels = v.shape[axis]
    lower, upper = channel_bounds(channels, axis, 3)
    q = fake_quantize(v, lower, upper, bits)
    for c in range(channels):
        alone = fake_quantize(v.select(axis, c), lower.flatten()[c], upper.flatten()[c], bits)
        assert torch.equal(q.select(axis, c), alone)


@pytest.mark.parametrize("bits", range(2, 9))
def test_at_most_2_to_the_b_values(bits):
    v = normal(6000, dtype=torch.float32)
    q = fake_quantize(v, torch.tensor(-1.0), torch.tensor(1.5), bits)
    assert len(torch.unique(q)) == 2**bits


def test_both_ends_are_levels():
    v = torch.tensor([-100.0, 100.0], dtype=FLOAT64)
    q = fake_quantize(v, scalar(-0.3), scalar(1.7), 4)
    assert q.tolist() == pytest.approx([-0.3, 1.7], abs=1e-15)


@pytest.mark.parametrize("bits", range(2, 9))
def test_quantizing_twice_changes_nothing(bits):
    v, lower, upper = normal(3000, dtype=torch.float32), torch.tensor(-1.37), torch.tensor(0.83)
    once = fake_quantize(v, lower, upper, bits)
    assert torch.equal(fake_quantize(once, lower, upper, bits), once)


def test_order_is_kept():
    v = normal(500, dtype=torch.float32).sort().values
    assert bool((fake_quantize(v, torch.tensor(-1.0), torch.tensor(1.0), 3).diff() >= 0).all())


@settings(max_examples=60, deadline=None)
@given(
    shape=st.lists(st.integers(1, 5), max_size=4),
    low=st.floats(-1e6, 1e6),
    width=st.floats(1e-3, 1e6),
    bits=st.integers(2, 8),
    seed=st.integers(0, 99),
    axis=st.none() | st.integers(-4, 3),
)
def test_any_shape_and_bounds(shape, low, width, bits, seed, axis):
    assume(width > 1e-6 * abs(low))
    v = low + width * (0.5 + normal(*shape, seed=seed))
    grad = normal(*shape, seed=seed + 100)
    lower, upper = scalar(low), scalar(low + width)
    if axis is not None and -len(shape) <= axis < len(shape):
        channels = [1] * len(shape)
        channels[axis] = shape[axis]
        lower, upper = lower.expand(channels).clone(), upper.expand(channels).clone()
    q = fake_quantize(v, lower, upper, bits)
    tolerance = 1e-9 * max(abs(low), width)
    torch.testing.assert_close(q, quantized(v, lower, upper, bits), rtol=0, atol=tolerance)
    assert len(torch.unique(q)) <= 2**bits * max(1, lower.numel())
    ours = differentiated(fake_quantize, v, lower, upper, bits, grad)
    by_hand = gradients(v, lower, upper, bits, grad)
    assert torch.equal(ours[0], by_hand[0])
    for own, elementwise in zip(ours[1:], by_hand[1:], strict=True):
        torch.testing.assert_close(own, elementwise.sum_to_size(lower.shape), rtol=1e-6, atol=1e-6)
