"""Multiply-accumulates by the sites that they multiply."""

from __future__ import annotations

import torch
from oracle import tiny_teacher
from torch import nn

from sr_ptq_bench import Bits, SRModel, site_macs
from sr_ptq_bench.quantization.quantize import quantize


def test_a_layer_multiplies_its_weight_and_its_input():
    """3 x 12 products a pixel in the first layer, 12 x 12 x 9 in the second, of an image of one pixel."""
    network = nn.Sequential(nn.Conv2d(3, 12, 1), nn.Conv2d(12, 12, 3, padding=1), nn.PixelShuffle(2))
    network.eval().requires_grad_(False)
    student = quantize(SRModel("two", 2, network, {"0": "image", "1": "conv"}, ()), Bits.parse("4"))
    assert site_macs(student) == {("0.weight", "0.input"): 36, ("1.weight", "1.input"): 1296}


def test_a_product_multiplies_two_operands():
    student = quantize(tiny_teacher((1,), channels=8), Bits.parse("4"))
    found = {frozenset(site.rsplit(".", 1)[-1] for site in pair): n for pair, n in site_macs(student).items()}
    of_layers = found.pop(frozenset({"weight", "input"}))
    assert of_layers > 0
    assert len(found) == 2
    assert len(set(found.values())) == 1, "q kᵀ and softmax v have as many"


def test_the_student_is_left_as_it_was():
    student = quantize(tiny_teacher((1,), channels=8), Bits.parse("4"))
    before = {name: len(module._forward_hooks) for name, module in student.network.named_modules()}
    site_macs(student)
    assert {name: len(module._forward_hooks) for name, module in student.network.named_modules()} == before
    assert all(quantizer.enabled for quantizer in student.quantizers.values())
    assert not any(isinstance(v, torch.Tensor) and v.requires_grad for v in student.network.parameters())
