"""Fake quantization against eq. 1 written out; its gradients have a file of their own."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracle import FLOAT64, channel_bounds, differentiated, gradients, normal, quantized, scalar, straight_through
from torch import Tensor

from sr_ptq_bench.quantization import fake_quantize as fakequant
from sr_ptq_bench.quantization.fake_quantize import fake_quantize, span

BITS = (2, 3, 4, 8)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 5), (2, 3, 4, 5)])
def test_forward_is_equation_1(bits, shape):
    v, lower, upper = normal(*shape), scalar(-0.7), scalar(1.3)
    torch.testing.assert_close(
        fake_quantize(v, lower, upper, bits), quantized(v, lower, upper, bits), rtol=0, atol=1e-14
    )


@pytest.mark.parametrize("arrange", [lambda v: v, lambda v: v.transpose(0, 1)])
def test_in_place_gives_the_same(arrange):
    v, lower, upper = normal(7, 5, dtype=torch.float32), scalar(-0.7), scalar(1.3)
    expected = fake_quantize(arrange(v), lower, upper, 3)
    with torch.no_grad():
        assert torch.equal(fake_quantize(arrange(v.clone()), lower, upper, 3, inplace=True), expected)


def test_in_place_overwrites_only_where_no_gradient_can_be_asked_for():
    v, lower, upper = normal(9), scalar(-0.7), scalar(1.3)
    before = v.clone()
    fake_quantize(v, lower, upper, 2, inplace=True)
    with torch.no_grad():
        fake_quantize(v, lower, upper, 2)
        assert torch.equal(v, before)
        q = fake_quantize(v, lower, upper, 2, inplace=True)
    assert q.data_ptr() == v.data_ptr()
    assert torch.equal(v, quantized(before, lower, upper, 2))


def committed(v: Tensor, lower: Tensor, upper: Tensor, bits: int) -> Tensor:
    """The operations whose results the committed records hold, one after another over the whole tensor."""
    n = 2**bits - 1
    to_level = n / (upper - lower).clamp_min(torch.finfo(torch.float32).tiny * 2**24)
    return ((v - lower) * to_level).round().clamp(0, n) * ((upper - lower) / n) + lower


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("size", [(), (7,), (64, 3), (2**18 - 1,), (2**18,), (2**18 + 1,), (5, 2**17)])
@pytest.mark.parametrize(("low", "high"), [(-0.7, 1.3), (0.0, 0.013), (0.2, 0.2)])
def test_results_of_a_score_are_those_of_the_records_to_the_last_bit(size, bits, inplace, low, high):
    v, ends = normal(*size, dtype=torch.float32), (torch.tensor(low), torch.tensor(high))
    expected = committed(v, *ends, bits).view(torch.int32)
    assert torch.equal(fake_quantize(v, *ends, bits).view(torch.int32), expected)
    with torch.inference_mode():
        assert torch.equal(fake_quantize(v, *ends, bits, inplace).view(torch.int32), expected)


@pytest.mark.parametrize("axes", [(0, 1), (1, 0)])
def test_results_per_channel_are_those_of_the_records_to_the_last_bit(axes):
    v = normal(6, 5, dtype=torch.float32).permute(axes)
    lower, upper = (end.float() for end in channel_bounds(v.shape[0], 0, 2))
    with torch.inference_mode():
        found = fake_quantize(v, lower, upper, 3)
        assert torch.equal(
            found.contiguous().view(torch.int32), committed(v, lower, upper, 3).contiguous().view(torch.int32)
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


def test_the_input_is_not_changed():
    v = normal(50)
    before = v.clone()
    fake_quantize(v, scalar(-0.1), scalar(0.1), 2)
    assert torch.equal(v, before)


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_sizes_around_one_piece_give_the_same(extra, monkeypatch):
    """The result does not depend on where the tensor is cut."""
    monkeypatch.setattr(fakequant, "_PIECE", 64)
    monkeypatch.setattr(fakequant, "_BACKWARD_PIECE", 48)
    v, grad = normal(3 * 64 + extra), normal(3 * 64 + extra, seed=3)
    lower, upper = scalar(-0.8), scalar(0.9)
    assert torch.equal(fake_quantize(v, lower, upper, 4), quantized(v, lower, upper, 4)) or torch.allclose(
        fake_quantize(v, lower, upper, 4), quantized(v, lower, upper, 4), rtol=0, atol=1e-14
    )
    ours = differentiated(fake_quantize, v, lower, upper, 4, grad)
    plain = differentiated(straight_through, v, lower, upper, 4, grad)
    for own, reference in zip(ours, plain, strict=True):
        torch.testing.assert_close(own, reference, rtol=1e-11, atol=1e-12)


def test_a_tensor_above_one_real_piece():
    count = fakequant._PIECE + 17
    v, grad = normal(count, dtype=torch.float32), normal(count, seed=3, dtype=torch.float32)
    lower, upper = torch.tensor(-0.8), torch.tensor(0.9)
    of_v, of_lower, of_upper = differentiated(fake_quantize, v, lower, upper, 4, grad)
    by_hand = gradients(v.double(), lower.double(), upper.double(), 4, grad.double())
    assert torch.equal(of_v.double(), by_hand[0])
    # float32 sums of a few hundred thousand terms, and elements next to a rounding border fall on its other side
    torch.testing.assert_close(of_lower.double(), by_hand[1].sum(), rtol=1e-3, atol=0.05)
    torch.testing.assert_close(of_upper.double(), by_hand[2].sum(), rtol=1e-3, atol=0.05)


def test_a_batch_of_one_transposed_matrix_is_quantized_and_stays_as_it_was():
    v = normal(1, 7, 6).transpose(1, 2)
    before = v.clone()
    with torch.inference_mode():
        found = fake_quantize(v, scalar(-0.8), scalar(0.9), 3)
    assert torch.equal(v, before)
    assert torch.equal(found, fake_quantize(v.contiguous(), scalar(-0.8), scalar(0.9), 3))
    assert found.shape == v.shape


def transposed(v: Tensor) -> Tensor:
    return v.transpose(0, 1).contiguous().transpose(0, 1)


@pytest.mark.parametrize(
    "arrange", [transposed, lambda v: torch.stack([v, v], -1)[..., 0]], ids=["transposed", "strided"]
)
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_strides_do_not_matter(arrange, axis):
    v, grad = normal(6, 7), normal(6, 7, seed=3)
    lower, upper = (scalar(-0.8), scalar(0.9)) if axis is None else channel_bounds(v.shape[axis], axis, 2)
    assert not arrange(v).is_contiguous()
    assert torch.equal(fake_quantize(arrange(v), lower, upper, 3), fake_quantize(v, lower, upper, 3))
    straight = differentiated(fake_quantize, v, lower, upper, 3, grad)
    leaves = [v.clone().requires_grad_(), lower.clone().requires_grad_(), upper.clone().requires_grad_()]
    crooked = torch.autograd.grad(fake_quantize(arrange(leaves[0]), *leaves[1:], 3), leaves, arrange(grad))
    for own, reference in zip(crooked, straight, strict=True):
        torch.testing.assert_close(own, reference, rtol=0, atol=1e-15)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("at", [0.0, 1.0, -3.25, 1e-30, 1e20])
def test_equal_bounds_collapse_to_their_value(bits, at):
    bound = torch.tensor(at)
    v = torch.tensor([at, at, at])
    assert torch.equal(fake_quantize(v, bound, bound, bits), v)
    of_v, of_lower, of_upper = differentiated(fake_quantize, v, bound, bound, bits, torch.tensor([1.0, 2.0, 4.0]))
    assert of_v.tolist() == [1.0, 2.0, 4.0]
    assert (float(of_lower), float(of_upper)) == (0.0, 0.0)


@pytest.mark.parametrize("at", [1.0, -3.25, 0.0])
def test_equal_bounds_and_other_values(at):
    """All is clipped: v has no gradient, the elements above move u and those below move l."""
    bound = torch.tensor(at)
    v = torch.tensor([at - 2, at - 1, at + 1])
    q = fake_quantize(v, bound, bound, 4)
    torch.testing.assert_close(q, torch.full((3,), at), rtol=0, atol=1e-30)
    of_v, of_lower, of_upper = differentiated(fake_quantize, v, bound, bound, 4, torch.tensor([1.0, 2.0, 4.0]))
    assert of_v.tolist() == [0.0, 0.0, 0.0]
    assert (float(of_lower), float(of_upper)) == (3.0, 4.0)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("at", [1e-38, 1.0, -7.0, 1e30])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_bounds_a_few_floats_apart_stay_finite(bits, at, steps):
    lower = torch.tensor(at)
    upper = lower.clone()
    for _ in range(steps):
        upper = torch.nextafter(upper, torch.tensor(math.inf))
    v = torch.stack([lower - 1, lower, upper, upper + 1])
    q = fake_quantize(v, lower, upper, bits)
    assert bool((q >= lower).all())
    assert bool((q <= torch.nextafter(upper, torch.tensor(math.inf))).all()) or at == 1e-38
    for grad in differentiated(fake_quantize, v, lower, upper, bits, torch.ones(4)):
        assert bool(torch.isfinite(grad).all())
        assert float(grad.abs().max()) <= 8


def test_span_is_the_plain_difference_except_where_it_would_vanish():
    assert float(span(torch.tensor(-1.0), torch.tensor(2.5))) == 3.5
    assert float(span(torch.tensor(2.0), torch.tensor(2.0))) > 0
    assert math.isfinite(255 / float(span(torch.tensor(2.0), torch.tensor(2.0))))


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


def test_infinite_values_are_clipped():
    v = torch.tensor([-math.inf, 0.0, math.inf])
    q = fake_quantize(v, torch.tensor(-1.0), torch.tensor(2.0), 2)
    assert q.tolist() == [-1.0, 0.0, 2.0]


def test_an_empty_tensor():
    v = torch.empty(0, 3, requires_grad=True)
    fake_quantize(v, torch.tensor(0.0), torch.tensor(1.0), 4).sum().backward()
    assert v.grad is not None
    assert v.grad.shape == (0, 3)


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


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.floats(-(2.0**99), 2.0**99, width=32), min_size=1, max_size=12),
    ends=st.tuples(st.floats(-(2.0**99), 2.0**99, width=32), st.floats(-(2.0**99), 2.0**99, width=32)),
    bits=st.integers(2, 8),
)
def test_wild_values_and_bounds_stay_finite(values, ends, bits):
    v, lower, upper = torch.tensor(values), torch.tensor(min(ends)), torch.tensor(max(ends))
    q = fake_quantize(v, lower, upper, bits)
    assert bool(torch.isfinite(q).all())
    assert len(torch.unique(q)) <= 2**bits
    for grad in differentiated(fake_quantize, v, lower, upper, bits, torch.ones_like(v)):
        assert bool(torch.isfinite(grad).all())
        assert float(grad.abs().max()) <= 3 * len(values)
