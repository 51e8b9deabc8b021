"""The gradients of fake quantization: 2DQuant eq. 18 written out, and plain autograd."""

from __future__ import annotations

import math

import pytest
import torch
from oracle import FLOAT64, channel_bounds, differentiated, gradients, normal, scalar, straight_through

from sr_ptq_bench.quantization.fake_quantize import fake_quantize

BITS = (2, 3, 4, 8)


@pytest.mark.parametrize("bits", BITS)
def test_gradients_are_equation_18(bits):
    v, lower, upper, grad = normal(40, 5), scalar(-0.8), scalar(0.9), normal(40, 5, seed=3)
    of_v, of_lower, of_upper = differentiated(fake_quantize, v, lower, upper, bits, grad)
    by_hand = gradients(v, lower, upper, bits, grad)
    assert torch.equal(of_v, by_hand[0])
    torch.testing.assert_close(of_lower, by_hand[1].sum(), rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(of_upper, by_hand[2].sum(), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("bits", BITS)
def test_gradients_are_those_of_plain_autograd(bits):
    v, lower, upper, grad = normal(40, 5), scalar(-0.8), scalar(0.9), normal(40, 5, seed=3)
    ours = differentiated(fake_quantize, v, lower, upper, bits, grad)
    plain = differentiated(straight_through, v, lower, upper, bits, grad)
    for own, reference in zip(ours, plain, strict=True):
        torch.testing.assert_close(own, reference, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("bits", (2, 4, 8))
def test_gradients_per_channel(axis, bits):
    v, grad = normal(3, 4, 5), normal(3, 4, 5, seed=3)
    lower, upper = channel_bounds(v.shape[axis], axis, 3)
    ours = differentiated(fake_quantize, v, lower, upper, bits, grad)
    plain = differentiated(straight_through, v, lower, upper, bits, grad)
    others = [a for a in range(3) if a != axis % 3]
    _, by_hand_lower, by_hand_upper = gradients(v, lower, upper, bits, grad)
    assert ours[1].shape == lower.shape
    for own, reference in zip(ours, plain, strict=True):
        torch.testing.assert_close(own, reference, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(ours[1], by_hand_lower.sum(others, keepdim=True), rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(ours[2], by_hand_upper.sum(others, keepdim=True), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(("shape", "bound_shape"), [((6,), (6,)), ((4, 1), (1, 1)), ((5, 6), (6,)), ((5, 6), (5, 6))])
def test_gradients_have_the_shape_of_the_bounds_whatever_broadcasts(shape, bound_shape):
    v, grad = normal(*shape), normal(*shape, seed=3)
    lower, upper = -0.5 - normal(*bound_shape, seed=1).abs(), 0.5 + normal(*bound_shape, seed=2).abs()
    ours = differentiated(fake_quantize, v, lower, upper, 3, grad)
    plain = differentiated(straight_through, v, lower, upper, 3, grad)
    for own, reference in zip(ours, plain, strict=True):
        torch.testing.assert_close(own, reference, rtol=1e-11, atol=1e-12)


def test_gradients_by_hand():
    """S = 3, n = 3: the steps are 1, so v_r/n - (v_c - l)/s is the rounding error over 3."""
    v = torch.tensor([-2.0, 0.2, 0.8, 3.5], dtype=FLOAT64)
    grad = torch.tensor([1.0, 10.0, 100.0, 1000.0], dtype=FLOAT64)
    of_v, of_lower, of_upper = differentiated(fake_quantize, v, scalar(0.0), scalar(3.0), 2, grad)
    assert of_v.tolist() == [0.0, 10.0, 100.0, 0.0]
    assert float(of_upper) == pytest.approx(1000 + 10 * (-0.2 / 3) + 100 * (0.2 / 3), abs=1e-12)
    assert float(of_lower) == pytest.approx(1 + 10 * (0.2 / 3) - 100 * (0.2 / 3), abs=1e-12)


def test_elements_equal_to_a_bound_are_inside():
    lower, upper = scalar(-1.0), scalar(2.0)
    v = torch.tensor([-1.0, 2.0], dtype=FLOAT64)
    of_v, of_lower, of_upper = differentiated(
        fake_quantize, v, lower, upper, 4, torch.tensor([5.0, 7.0], dtype=FLOAT64)
    )
    assert of_v.tolist() == [5.0, 7.0]
    assert (float(of_lower), float(of_upper)) == (0.0, 0.0)


def test_elements_beyond_a_bound_are_outside_however_near():
    v = torch.tensor([math.nextafter(-1.0, -2.0), math.nextafter(2.0, 3.0)], dtype=FLOAT64)
    grad = torch.tensor([5.0, 7.0], dtype=FLOAT64)
    of_v, of_lower, of_upper = differentiated(fake_quantize, v, scalar(-1.0), scalar(2.0), 4, grad)
    assert of_v.tolist() == [0.0, 0.0]
    assert (float(of_lower), float(of_upper)) == pytest.approx((5.0, 7.0))


def test_an_expanded_gradient():
    """`sum` hands back one number expanded to the whole shape."""
    leaves = [normal(9, 3).requires_grad_(), scalar(-0.4).requires_grad_(), scalar(0.6).requires_grad_()]
    fake_quantize(*leaves, 3).sum().backward()
    by_hand = gradients(*(leaf.detach() for leaf in leaves), 3, torch.ones(9, 3, dtype=FLOAT64))
    assert torch.equal(leaves[0].grad, by_hand[0])
    torch.testing.assert_close(leaves[1].grad, by_hand[1].sum())
    torch.testing.assert_close(leaves[2].grad, by_hand[2].sum())
