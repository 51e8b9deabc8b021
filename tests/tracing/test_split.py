"""A Linear layer that makes q, k and v at once becomes three layers where a backbone says so."""

from __future__ import annotations

import copy

import pytest
import torch
from checkpoints import SIDE, network
from oracle import images

from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.protocol.bits import Bits
from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.quantization.student import quantizers_off
from sr_ptq_bench.tracing.open_network import open_network

QKV = {"*.attn.qkv": ("q", "k", "v")}


@pytest.mark.parametrize("name", ["dat", "swinir"])
def test_each_part_has_sites_of_its_own_and_without_quantizers_the_output_is_the_same(name: str) -> None:
    whole = network(name)
    model = open_network(copy.deepcopy(whole), "any", 2, min_side=SIDE, split=QKV)
    student, plain = quantize(model, Bits.parse("4")), quantize(open_network(whole, "any", 2), Bits.parse("4"))
    fused = [site.removesuffix(".weight") for site in plain.weights if site.endswith("attn.qkv.weight")]
    assert len(fused) == 2
    parts = {f"{layer}.{part}.{end}" for layer in fused for part in "qkv" for end in ("weight", "input")}
    assert student.quantizers.keys() - plain.quantizers.keys() == parts
    for layer in fused:
        kinds = {student.quantizers[f"{layer}.{part}.input"].site.input_kind for part in "qkv"}
        assert kinds == {plain.quantizers[f"{layer}.input"].site.input_kind}
        rows = [student.weights[f"{layer}.{part}.weight"] for part in "qkv"]
        assert torch.equal(torch.cat(rows), plain.weights[f"{layer}.weight"])
    lr = images(1, SIDE)
    with torch.no_grad(), quantizers_off(student):
        assert torch.equal(student(lr), model(lr))
        torch.testing.assert_close(model(lr), whole(lr))  # another shape of product may round otherwise


@pytest.mark.parametrize(("name", "pattern"), [("hat", "*.qkv"), ("rgt", "*.qkv"), ("atd", "*.wqkv")])
def test_networks_of_other_kinds_are_split(name, pattern):
    whole = network(name)
    fused = [layer for layer, _ in whole.named_modules() if layer.endswith("qkv")]
    model = open_network(whole, "any", 2, min_side=SIDE, split={pattern: ("q", "k", "v")})
    parts = {f"{layer}.{part}" for layer in fused for part in "qkv"}
    assert parts
    assert parts <= model.input_kinds.keys()
    assert not set(fused) & model.input_kinds.keys()


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"*.qqq": ("q", "k")}, "no layer matches '.*qqq', which is to be split into q, k"),
        ({"*.attn.qkv": tuple("abcde")}, "attn.qkv is no Linear layer with 5 equal parts"),
        ({"conv_first": ("a", "b")}, "conv_first is no Linear layer with 2 equal parts"),
    ],
)
def test_what_cannot_be_split_is_refused_by_name(split: dict, message: str) -> None:
    with pytest.raises(SrqError, match=message):
        open_network(network("swinir"), "any", 2, split=split)


def test_a_network_that_reads_the_weight_itself_is_refused():
    with pytest.raises(SrqError, match=r"'any' cannot be split so, its code reads inside a layer: .*weight"):
        open_network(network("swin2sr"), "any", 2, min_side=SIDE, split=QKV)
