"""The host's further kinds of quantizers, by hand and by formulas written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import images, quantized, tiny_teacher

from sr_ptq_bench import Bits, Bounds, LogSqrt2Quantizer, Quantizer, Site, TwinUniformQuantizer
from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.quantization.state.header import read_header
from sr_ptq_bench.quantization.state.save_load import load_state, save_state

SITE = Site("attention", "activation", "softmax")


def quantizer(kind, bits, lower, upper):
    made = kind(SITE, bits)
    made.set_bounds(Bounds(lower, upper))
    return made


def test_log_sqrt2_by_hand():
    v = torch.tensor([2.0, 1.0, 0.8, 0.6, 0.5, 0.4, 0.3, 0.0])
    root = 0.5**0.5
    expected = torch.tensor([1, 1, root, root, 0.5, 0.5, 0, 0])  # -2 log2: .64, 1.47, 2, 2.64 -> 3, ...
    expected[5] = 0.0
    assert torch.allclose(quantizer(LogSqrt2Quantizer, 2, 0.0, 1.0)(v), expected)


def test_log_sqrt2_of_the_paper():
    """clip(round(-2 log2(x/u)), 0, 2^b - 1): the last level is u 2^(-(2^b - 1)/2)."""
    v = np.random.default_rng(0).random(2000).astype(np.float32) ** 5
    for bits in (2, 3, 4):
        last = 2**bits - 1
        k = np.clip(np.round(-2 * np.log2(v / np.float32(0.7))), 0, last)
        found = quantizer(LogSqrt2Quantizer, bits, 0.7 * 2 ** (-last / 2), 0.7)(torch.tensor(v))
        assert np.allclose(found, 0.7 * 2 ** (-k / 2), rtol=1e-5)
        assert len(found.unique()) == 2**bits


def test_log_sqrt2_of_nothing():
    assert torch.equal(quantizer(LogSqrt2Quantizer, 4, 0.0, 0.0)(torch.zeros(3)), torch.zeros(3))


def test_log_sqrt2_learns():
    made = quantizer(LogSqrt2Quantizer, 2, 0.125, 1.0)
    made.lower.requires_grad_()
    made.upper.requires_grad_()
    v = torch.tensor([2.0, 0.5, 0.6, 0.01, -1.0], requires_grad=True)
    made(v).sum().backward()
    assert v.grad.tolist() == pytest.approx([0, 1, 0.5**0.5 / 0.6, 0, 0])  # v_q / v; what is clipped has none
    assert (float(made.upper.grad), float(made.lower.grad)) == (1, 2)  # of the clipped values alone


@pytest.mark.parametrize("bits", [3, 4, 8])
@pytest.mark.parametrize("kind", [Quantizer, LogSqrt2Quantizer])
def test_the_gradient_of_the_upper_bound_is_the_mean_slope_of_a_loss(kind, bits):
    """Roundings are spread over 10 % of u; what is left is what the gradient stands for. Uniform: eq. 18."""
    v = torch.rand(100_000, generator=torch.Generator().manual_seed(0)).double() ** 3 * 1.2
    weights = torch.cos(5 * v)

    def loss(upper):
        return float((quantizer(kind, bits, 0.0, upper)(v) * weights).sum())

    made = quantizer(kind, bits, 0.0, 1.0)
    made.upper.requires_grad_()
    (made(v) * weights).sum().backward()
    widths = torch.linspace(0.02, 0.1, 30).tolist()
    with torch.no_grad():
        slope = sum((loss(1 + width) - loss(1 - width)) / (2 * width) for width in widths) / len(widths)
    assert float(made.upper.grad) == pytest.approx(slope, rel=0.2)


def test_twin_uniform_by_hand():
    """3 bits: -0.3, -0.2, -0.1, 0 and 0, 1, 2, 3."""
    made = quantizer(TwinUniformQuantizer, 3, -0.3, 3.0)
    v = torch.tensor([-1.0, -0.26, -0.14, -0.04, 0.4, 0.6, 2.4, 9.0])
    assert torch.allclose(made(v), torch.tensor([-0.3, -0.3, -0.1, 0, 0, 1, 2, 3]))


@settings(max_examples=50, deadline=None)
@given(bits=st.integers(2, 8), middle=st.floats(-0.5, 1.5), seed=st.integers(0, 99))
def test_twin_uniform_is_two_uniform_quantizers(bits, middle, seed):
    made = quantizer(TwinUniformQuantizer, bits, -1.0, 2.0)
    made.middle.data.fill_(middle)
    v = 2 * torch.randn(300, generator=torch.Generator().manual_seed(seed))
    low, m, high = torch.tensor([-1.0, middle, 2.0])
    expected = torch.where(v < m, quantized(v, low, m, bits - 1), quantized(v, m, high, bits - 1))
    found = made(v)
    assert ((found - expected).abs() < 1e-5).float().mean() > 0.98  # ties may round to either side
    assert 1 + int((found.sort().values.diff() > 1e-5).sum()) <= 2**bits - 1


@pytest.mark.parametrize(("lower", "upper", "middle"), [(-1, 2, 0), (1, 2, 1), (-3, -2, -2)])
def test_the_middle_is_at_zero_or_next_to_it(lower, upper, middle):
    assert float(quantizer(TwinUniformQuantizer, 4, lower, upper).middle) == middle


def test_a_state_restores_them_without_a_method():
    teacher = tiny_teacher()
    kinds = {"softmax": LogSqrt2Quantizer, "gelu": TwinUniformQuantizer}

    def make(site, bits):
        return kinds[site.input_kind](site, bits) if site.input_kind in kinds else None

    student = quantize(teacher, Bits.parse("4"), make)
    for made in student.quantizers.values():
        made.set_bounds(Bounds(-0.5, 1.5))
        if isinstance(made, TwinUniformQuantizer):
            made.middle.data.fill_(0.25)
    state = save_state(student, teacher)
    again = load_state(state, teacher)
    assert {site.kind for site in read_header(state).sites.values()} == {"uniform", "log-sqrt2", "twin-uniform"}
    with torch.no_grad():
        assert torch.equal(again(images(1, 16)), student(images(1, 16)))
    assert save_state(again, teacher) == state


@pytest.mark.parametrize("kind", [LogSqrt2Quantizer, TwinUniformQuantizer])
@pytest.mark.parametrize(("shape", "axis"), [((3, 40), 0), ((2, 20, 3), -1), ((2, 3, 4, 5), 1)])
def test_bounds_per_channel_quantize_each_channel_as_its_own_tensor(kind, shape, axis):
    v = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    lower, upper = torch.tensor([-1.0, 0.0, -0.3]), torch.tensor([0.5, 1.0, 3.0])
    made = kind(Site("fc2.input", "activation", "gelu", axis, layer="linear"), 3)
    made.set_bounds(Bounds(lower, upper))
    each = zip(v.unbind(axis), lower.tolist(), upper.tolist(), strict=True)
    assert torch.equal(made(v), torch.stack([quantizer(kind, 3, low, high)(of) for of, low, high in each], axis))
