"""The sites of a student, and their bounds."""

from __future__ import annotations

from dataclasses import replace

import torch
from oracle import mixed, sites_of, swinir, tiny_teacher

from sr_ptq_bench.backbones.swinir import open_sites
from sr_ptq_bench.protocol.bits import Bits
from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.quantization.quantizer import Bounds

W4A4 = Bits(weight=4, activation=4)


BLOCK_SITES = {
    "attn.qkv.q.weight": ("weight", "parameter"),
    "attn.qkv.q.input": ("activation", "layernorm"),
    "attn.qkv.k.weight": ("weight", "parameter"),
    "attn.qkv.k.input": ("activation", "layernorm"),
    "attn.qkv.v.weight": ("weight", "parameter"),
    "attn.qkv.v.input": ("activation", "layernorm"),
    "attn.proj.weight": ("weight", "parameter"),
    "attn.proj.input": ("activation", "value"),
    "attn.query": ("activation", "query"),
    "attn.key": ("activation", "key"),
    "attn.attention": ("activation", "softmax"),
    "attn.value": ("activation", "value"),
    "mlp.fc1.weight": ("weight", "parameter"),
    "mlp.fc1.input": ("activation", "layernorm"),
    "mlp.fc2.weight": ("weight", "parameter"),
    "mlp.fc2.input": ("activation", "gelu"),
}


def test_swinir_light_has_384_sites():
    student = quantize(open_sites(swinir((6, 6, 6, 6), 60, 6), "swinir-light", 2), W4A4)
    roles = [site.role for site in sites_of(student)]
    assert (len(roles), roles.count("weight"), roles.count("activation")) == (384, 144, 240)
    assert len(student.bound_parameters()) == 768
    assert sum(weight.numel() for weight in student.weights.values()) == 691_200
    bounds = {id(end) for end in student.bound_parameters()}
    assert sum(p.numel() for p in student.network.parameters() if id(p) not in bounds) == 910_152
    blocks = {name.partition(".attn.")[0].partition(".mlp.")[0] for name in student.quantizers}
    assert blocks == {f"layers.{g}.residual_group.blocks.{b}" for g in range(4) for b in range(6)}
    assert student.model.features == tuple(f"layers.{g}.residual_group" for g in range(4))


def test_the_sites_of_a_block():
    student = quantize(tiny_teacher(), W4A4)
    prefix = "layers.0.residual_group.blocks.1."
    found = {
        name.removeprefix(prefix): (q.site.role, q.site.input_kind)
        for name, q in student.quantizers.items()
        if name.startswith(prefix)
    }
    assert found == BLOCK_SITES
    assert len(student.quantizers) == 2 * len(BLOCK_SITES)


def test_a_quantizer_knows_its_own_name_bits_and_channels():
    student = quantize(mixed(), Bits(weight=3, activation=6))
    assert {name: q.site.name for name, q in student.quantizers.items()} == {name: name for name in student.quantizers}
    assert {name: (q.bits, q.site.channel_axis) for name, q in student.quantizers.items()} == {
        "conv.weight": (3, 0),
        "conv.input": (6, 1),
        "fc.weight": (3, 0),
        "fc.input": (6, -1),
        "mark": (6, None),
    }


def test_a_site_knows_the_kind_of_its_layer():
    kinds = [site.layer for site in sites_of(quantize(mixed(), W4A4))]
    assert kinds == ["conv", "conv", "linear", "linear", None]


def test_the_sites_of_an_edge_layer_say_so():
    student = quantize(replace(mixed(), first_last_layers=("conv",)), W4A4)
    assert {name for name, q in student.quantizers.items() if q.site.edge} == {"conv.weight", "conv.input"}


def test_bound_parameters_are_lower_before_upper_site_by_site():
    student = quantize(mixed(), W4A4)
    expected = [end for q in student.quantizers.values() for end in (q.lower, q.upper)]
    assert all(a is b for a, b in zip(student.bound_parameters(), expected, strict=True))


def test_fix_crossed_bounds_moves_upper_bounds_only():
    student = quantize(mixed(), W4A4)
    one, channels = student.quantizers["mark"], student.quantizers["fc.weight"]
    one.set_bounds(Bounds(0.5, 1.0))
    channels.set_bounds(Bounds(torch.tensor([0.0, 1.0, 3.0]), torch.tensor([1.0, 1.0, 3.5])))
    for bound in student.bound_parameters():
        bound.requires_grad_()
    one.lower.data += 1
    channels.lower.data += torch.tensor([0.0, 1.0, 0.0])
    student.fix_crossed_bounds()
    assert [float(end) for end in one.bounds.tensors()] == [1.5, 1.5]
    assert channels.lower.tolist() == [0.0, 2.0, 3.0]
    assert channels.upper.tolist() == [1.0, 2.0, 3.5]
