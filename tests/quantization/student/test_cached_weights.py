"""Quantized weights that are computed once."""

from __future__ import annotations

import pytest
import torch
from oracle import bounded, images, tiny_teacher

from sr_ptq_bench.protocol.bits import Bits
from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.quantization.student import cached_quantized_weights


def test_cached_quantized_weights_gives_the_same_and_puts_them_back():
    student, lr = bounded(tiny_teacher(), "3"), images(1, 16)
    originals = {name: weight.clone() for name, weight in student.weights.items()}
    with torch.no_grad():
        expected = student(lr)
        with cached_quantized_weights(student):
            for name in student.weights:  # whoever quantizes now, quantizes to nothing
                student.quantizers[name].quantize = torch.zeros_like
            assert torch.equal(student(lr), expected)
            assert torch.equal(student(lr), expected)
        for name in student.weights:
            del student.quantizers[name].quantize
        assert all(torch.equal(weight, originals[name]) for name, weight in student.weights.items())
        assert all(quantizer.enabled for quantizer in student.quantizers.values())
        assert torch.equal(student(lr), expected)


def test_cached_quantized_weights_are_drawn_with_the_seed():
    student = bounded(tiny_teacher())
    name, weight = next(iter(student.weights.items()))
    student.quantizers[name].quantize = lambda v: v + torch.rand(v.shape)
    drawn = torch.rand(weight.shape, generator=torch.Generator().manual_seed(3))
    with cached_quantized_weights(student, 3):
        assert torch.equal(student.quantizers[name](weight), weight + drawn)
        assert torch.equal(student.quantizers[name](weight), weight + drawn)


def test_cached_quantized_weights_restores_after_an_error():
    student = bounded(tiny_teacher())
    originals = {name: weight.clone() for name, weight in student.weights.items()}
    with pytest.raises(KeyError), cached_quantized_weights(student):
        raise KeyError
    assert all(torch.equal(weight, originals[name]) for name, weight in student.weights.items())
    assert all(quantizer.enabled for quantizer in student.quantizers.values())


def test_cached_quantized_weights_leaves_off_what_was_off():
    student, lr = bounded(tiny_teacher()), images(1, 8)
    first = next(iter(student.weights))
    student.quantizers[first].enabled = False
    original = student.weights[first].clone()
    with torch.no_grad():
        expected = student(lr)
        with cached_quantized_weights(student):
            assert torch.equal(student.weights[first], original)
            assert torch.equal(student(lr), expected)
    assert [name for name, q in student.quantizers.items() if not q.enabled] == [first]


def test_operands_that_are_overwritten_change_no_output():
    student = bounded(tiny_teacher(), "3", images(1, 16))
    assert any(quantizer.inplace for quantizer in student.quantizers.values())
    with torch.no_grad():
        overwritten = student(images(2, 16))
    assert torch.equal(overwritten, student(images(2, 16)))


def test_gradients_reach_every_bound():
    student = bounded(tiny_teacher(), "3")
    for end in student.bound_parameters():
        end.requires_grad_()
    student(images(2, 16)).square().sum().backward()
    without = [name for name, q in student.quantizers.items() if q.lower.grad is None or q.upper.grad is None]
    assert not without
    assert all(bool(torch.isfinite(end.grad)) for end in student.bound_parameters())
    still = [name for name, q in student.quantizers.items() if not q.lower.grad or not q.upper.grad]
    assert not still


def test_bounds_have_the_names_of_their_sites():
    student = quantize(tiny_teacher((1,)), Bits.parse("4"))
    named = student.named_bounds()
    first = next(iter(student.quantizers))
    assert list(named)[:2] == [f"{first}.lower", f"{first}.upper"]
    assert all(
        named[f"{site}.{end}"] is getattr(of, end)
        for site, of in student.quantizers.items()
        for end in ("lower", "upper")
    )
    assert [id(bound) for bound in named.values()] == [id(bound) for bound in student.bound_parameters()]
