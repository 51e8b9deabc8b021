"""Fake quantization gives the same bits in place, in pieces and whatever the strides."""

from __future__ import annotations

import pytest
import torch
from oracle import channel_bounds, differentiated, gradients, normal, quantized, scalar, straight_through
from torch import Tensor

from sr_ptq_bench.quantization import fake_quantize as fakequant
from sr_ptq_bench.quantization.fake_quantize import fake_quantize

BITS = (2, 3, 4, 8)


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
