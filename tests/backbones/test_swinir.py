"""SwinIR with its sites laid open computes what BasicSR's SwinIR computes."""

from __future__ import annotations

import copy

import pytest
import torch
from oracle import images, swinir
from safetensors.torch import save_file
from torch import nn

from sr_ptq_bench.backbones.swinir import INPUTS, OpenAttention, SplitLinear, open_sites, srq_load_model
from sr_ptq_bench.basicsr_compat import WindowAttention
from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.protocol.bits import Bits
from sr_ptq_bench.protocol.suite import SUITES
from sr_ptq_bench.quantization.network import Operand, with_scope
from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.quantization.student import quantizers_off
from sr_ptq_bench.storage.weights import read_weights

WEIGHTS = SUITES.parents[1] / "weights"


@pytest.mark.parametrize("size", [(8, 8), (16, 16), (8, 24), (32, 16)])
@pytest.mark.parametrize("batch", [1, 3])
def test_the_same_output_to_the_last_bit(size, batch):
    plain = swinir((2, 2))
    opened = open_sites(copy.deepcopy(plain), "tiny", 2)
    lr = images(batch, *size)
    with torch.no_grad():
        assert torch.equal(opened(lr), plain(lr))


def test_swinir_light_is_the_same_to_the_last_bit():
    plain = swinir((6, 6, 6, 6), 60, 6)
    opened = open_sites(copy.deepcopy(plain), "swinir-light", 2)
    lr = images(1, 16, 8)
    with torch.no_grad():
        assert torch.equal(opened(lr), plain(lr))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_scales(scale):
    model = open_sites(swinir((1,), scale=scale), "tiny", scale)
    assert model(images(1, 8)).shape == (1, 3, 8 * scale, 8 * scale)
    assert (model.name, model.scale, model.size_multiple, model.padding) == ("tiny", scale, 8, "flip")


def test_no_attention_is_left_closed():
    model = open_sites(swinir((2, 2)), "tiny", 2)
    kinds = [type(module) for module in model.network.modules()]
    assert WindowAttention not in kinds
    assert kinds.count(OpenAttention) == 4
    assert kinds.count(Operand) == 16


def test_what_makes_the_input_of_each_layer():
    model = open_sites(swinir((1, 1)), "tiny", 2)
    linear = {name for name in model.input_kinds if isinstance(model.network.get_submodule(name), nn.Linear)}
    assert len(linear) == 12
    for layer in linear:
        assert INPUTS[layer.partition(".blocks.0.")[2]] == model.input_kinds[layer]


def test_scope_all_adds_every_convolution():
    model = open_sites(swinir((1, 1)), "tiny", 2)
    convolutions = {name for name, module in model.network.named_modules() if isinstance(module, nn.Conv2d)}
    assert {name: model.input_kinds[name] for name in convolutions} == {
        "conv_first": "image",
        "layers.0.conv": "linear",
        "layers.1.conv": "linear",
        "conv_after_body": "layernorm",
        "upsample.0": "conv",
    }
    student = quantize(with_scope(model, "all"), Bits(weight=4, activation=4))
    assert len(student.quantizers) == 2 * 16 + 2 * 5
    assert {name for name, q in student.quantizers.items() if q.site.edge} == {
        "conv_first.weight",
        "conv_first.input",
        "upsample.0.weight",
        "upsample.0.input",
    }
    lr = images(1, 8)
    with torch.no_grad(), quantizers_off(student):
        assert torch.equal(student(lr), model(lr))


def test_swinir_light_under_scope_all():
    model = open_sites(swinir((6, 6, 6, 6), 60, 6), "swinir-light", 2)
    student = quantize(with_scope(model, "all"), Bits(weight=4, activation=4))
    assert len(student.quantizers) == 384 + 2 * 7
    assert sum(w.numel() for w in student.weights.values()) == 691_200 + 9 * 60 * (3 + 5 * 60 + 12)


def test_features_are_the_residual_groups_before_their_convolution():
    model = open_sites(swinir((1, 1, 1)), "tiny", 2)
    assert model.features == tuple(f"layers.{group}.residual_group" for group in range(3))


def test_the_network_is_ready_for_evaluation():
    model = open_sites(swinir().train(), "tiny", 2)
    assert not any(module.training for module in model.network.modules())
    assert not any(parameter.requires_grad for parameter in model.network.parameters())


def test_a_split_layer_is_the_fused_one():
    torch.manual_seed(0)
    fused = nn.Linear(6, 18)
    x = torch.randn(2, 5, 6)
    with torch.no_grad():
        torch.testing.assert_close(torch.cat(SplitLinear(fused)(x), -1), fused(x))


@pytest.mark.parametrize("masked", [False, True])
def test_open_attention_in_plain_steps(masked):
    network = swinir()
    attention = next(module for module in network.modules() if isinstance(module, WindowAttention)).double()
    x = torch.randn(4, 64, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    mask = None
    if masked:
        mask = torch.zeros(2, 64, 64, dtype=torch.float64)
        mask[1, :, 32:] = -100.0
    with torch.no_grad():
        expected = attention(x, mask)
        torch.testing.assert_close(OpenAttention(attention)(x, mask), expected, rtol=1e-12, atol=1e-12)


def test_the_operands_are_what_their_names_say():
    model = open_sites(swinir((1,)), "tiny", 2)
    seen: dict[str, torch.Tensor] = {}
    block = model.network.get_submodule("layers.0.residual_group.blocks.0.attn")
    for name in ("query", "key", "value", "attention", "qkv.q", "qkv.k", "qkv.v"):
        keep = lambda _m, _i, output, name=name: seen.__setitem__(name, output)  # noqa: E731
        block.get_submodule(name).register_forward_hook(keep)
    model(images(1, 8))

    def heads(v: torch.Tensor) -> torch.Tensor:
        return v.view(1, 64, 2, 6).transpose(1, 2)

    assert torch.equal(seen["query"], heads(seen["qkv.q"]) * 6**-0.5)
    assert torch.equal(seen["key"], heads(seen["qkv.k"]))
    assert torch.equal(seen["value"], heads(seen["qkv.v"]))
    torch.testing.assert_close(seen["attention"].sum(-1), torch.ones(1, 2, 64))
    assert float(seen["attention"].min()) >= 0


def test_another_name_is_left_to_other_plugins(tmp_path):
    assert srq_load_model(name="edsr", scale=2, weights=tmp_path / "none") is None


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_sample_weights_load(scale):
    weights = WEIGHTS / f"swinir_light_x{scale}.safetensors"
    model = srq_load_model(name="swinir-light", scale=scale, weights=weights)
    assert model is not None
    assert model.scale == scale
    stored = read_weights(weights)
    assert torch.equal(model.network.get_parameter("conv_first.weight"), stored["conv_first.weight"])
    fused = stored["layers.3.residual_group.blocks.5.attn.qkv.weight"]
    block = model.network.get_submodule("layers.3.residual_group.blocks.5.attn.qkv")
    assert torch.equal(torch.cat([block.q.weight, block.k.weight, block.v.weight]), fused)


def test_weights_of_another_scale_are_refused():
    with pytest.raises(SrqError, match="another network or scale"):
        srq_load_model(name="swinir-light", scale=3, weights=WEIGHTS / "swinir_light_x2.safetensors")


def test_rebuilt_buffers_may_be_present(tmp_path):
    weights = read_weights(WEIGHTS / "swinir_light_x2.safetensors")
    block = "layers.0.residual_group.blocks.1"
    weights[f"{block}.attn_mask"] = torch.zeros(4, 64, 64)
    weights[f"{block}.attn.relative_position_index"] = torch.zeros(64, 64, dtype=torch.int64)
    save_file(weights, tmp_path / "more.safetensors")
    model = srq_load_model(name="swinir-light", scale=2, weights=tmp_path / "more.safetensors")
    assert model is not None
    index = model.network.get_submodule(f"{block}.attn").relative_position_index
    assert int(index.max()) == 15 * 15 - 1  # rebuilt, not read
