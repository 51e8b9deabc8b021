"""Fake quantization between equal and close bounds, and of infinite, empty and wild tensors."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import differentiated

from sr_ptq_bench.quantization.fake_quantize import fake_quantize, span

BITS = (2, 3, 4, 8)


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


def test_infinite_values_are_clipped():
    v = torch.tensor([-math.inf, 0.0, math.inf])
    q = fake_quantize(v, torch.tensor(-1.0), torch.tensor(2.0), 2)
    assert q.tolist() == [-1.0, 0.0, 2.0]


def test_an_empty_tensor():
    v = torch.empty(0, 3, requires_grad=True)
    fake_quantize(v, torch.tensor(0.0), torch.tensor(1.0), 4).sum().backward()
    assert v.grad is not None
    assert v.grad.shape == (0, 3)


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
