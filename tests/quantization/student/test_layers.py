"""Bits, elements and layers of a student."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from oracle import Mixed, images, mixed, quantized
from torch import Tensor, nn

from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.protocol.bits import Bits
from sr_ptq_bench.quantization.network import SRModel
from sr_ptq_bench.quantization.quantize import QuantizedLayer, quantize
from sr_ptq_bench.quantization.quantizer import Bounds, Quantizer, Site
from sr_ptq_bench.quantization.student import quantizers_off, site_elements

W4A4 = Bits(weight=4, activation=4)


def test_sites_may_have_bits_of_their_own():
    asked: dict[str, int] = {}

    def make(site: Site, bits: int) -> Quantizer | None:
        asked[site.name] = bits
        return None

    own = {"fc.weight": 2, "mark": 8}
    student = quantize(mixed(), Bits(weight=4, activation=6), make, own)
    expected = {"conv.weight": 4, "conv.input": 6, "fc.weight": 2, "fc.input": 6, "mark": 8}
    assert {name: quantizer.bits for name, quantizer in student.quantizers.items()} == asked == expected


def test_the_elements_of_a_site_are_those_of_one_pass():
    student = quantize(replace(mixed(), min_side=3), W4A4)
    pixels = 3 * 3
    assert site_elements(student) == {
        "conv.weight": 4 // 2 * 6 * 9,
        "conv.input": 4 * pixels,
        "fc.weight": 6 * 3,
        "fc.input": 6 * pixels,
        "mark": 3 * pixels,
    }
    assert not any(q._forward_pre_hooks for q in student.quantizers.values())
    assert all(q.enabled for q in student.quantizers.values())


def test_the_weights_are_those_of_the_network():
    teacher = mixed()
    student = quantize(teacher, W4A4)
    assert set(student.weights) == {"conv.weight", "fc.weight"}
    assert torch.equal(student.weights["fc.weight"], teacher.network.get_parameter("fc.weight"))
    with torch.no_grad(), quantizers_off(student):
        before = student(images(1, 5))
        student.weights["fc.weight"].mul_(2)
        assert not torch.equal(student(images(1, 5)), before)


def plain_layer(
    x: Tensor, layer: nn.Linear | nn.Conv2d, weight: tuple[float, float], act: tuple[float, float]
) -> Tensor:
    """The layer in float64 on a quantized input with a quantized weight."""
    layer = copy.deepcopy(layer).double()
    w, x = (quantized(v.double(), *map(torch.tensor, map(float, b)), 4) for v, b in ((layer.weight, weight), (x, act)))
    layer.weight.data = w.detach()
    return layer(x).detach()


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (nn.Linear(5, 3), (4, 5)),
        (nn.Linear(5, 3, bias=False), (2, 4, 5)),
        (nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), (2, 4, 7, 6)),
        (nn.Conv2d(4, 2, 3, padding=2, dilation=2, padding_mode="circular"), (1, 4, 7, 6)),
        (nn.Conv2d(4, 2, 3, padding="same", bias=False), (1, 4, 5, 5)),
    ],
    ids=["linear", "linear without bias", "grouped", "circular", "same"],
)
def test_a_quantized_layer_quantizes_input_and_weight_and_not_the_bias(layer, x):
    v = torch.randn(x, generator=torch.Generator().manual_seed(2))
    quantizers = [Quantizer(Site(name, "weight", "parameter"), 4) for name in "wa"]
    quantizers[0].set_bounds(Bounds(-0.25, 0.5))
    quantizers[1].set_bounds(Bounds(-1.0, 1.5))
    y = QuantizedLayer(layer, *quantizers)(v)
    torch.testing.assert_close(y.double(), plain_layer(v, layer, (-0.25, 0.5), (-1.0, 1.5)), rtol=1e-5, atol=1e-5)


def test_convolutions_per_channel():
    student, lr = quantize(mixed(), W4A4), images(1, 6)
    for quantizer in student.quantizers.values():
        quantizer.set_bounds(Bounds(-2.0, 2.0))
    weight = student.weights["conv.weight"]
    student.quantizers["conv.weight"].set_bounds(Bounds(weight.flatten(1).amin(1), weight.flatten(1).amax(1)))
    student.quantizers["conv.input"].set_bounds(Bounds(torch.zeros(4), torch.ones(4)))
    assert student(lr).shape == lr.shape


def test_channel_bounds_of_another_length_are_named():
    student = quantize(mixed(), W4A4)
    for quantizer in student.quantizers.values():
        quantizer.set_bounds(Bounds(-2.0, 2.0))
    student.quantizers["conv.input"].set_bounds(Bounds(torch.zeros(3), torch.ones(3)))
    with pytest.raises(SrqError, match=r"site conv\.input has 4 channels, its bounds have 3"):
        student(images(1, 6))


class Nothing(Quantizer):
    """A quantizer of a method's own."""

    def quantize(self, v: Tensor) -> Tensor:
        return torch.zeros_like(v)


def test_a_method_makes_the_quantizers_that_it_wants():
    asked: list[tuple[str, int]] = []

    def make(site: Site, bits: int) -> Quantizer | None:
        asked.append((site.name, bits))
        return Nothing(site, bits) if site.name == "mark" else None

    student = quantize(mixed(), Bits(weight=2, activation=8), make)
    assert dict(asked) == {"conv.weight": 2, "conv.input": 8, "fc.weight": 2, "fc.input": 8, "mark": 8}
    assert [name for name, q in student.quantizers.items() if isinstance(q, Nothing)] == ["mark"]
    for quantizer in student.quantizers.values():
        quantizer.set_bounds(Bounds(-2.0, 2.0))
    bias = student.network.get_parameter("plain.bias")
    assert torch.equal(student(images(1, 4)), bias[None, :, None, None].expand(1, 3, 4, 4))


@pytest.mark.parametrize(("name", "message"), [("pool", "no layer 'pool'"), ("cov", "did you mean 'conv'")])
def test_an_input_kind_of_a_layer_that_does_not_exist(name, message):
    teacher = SRModel("mixed", 1, Mixed(), {name: "image"}, ())
    with pytest.raises(SrqError, match=message):
        quantize(teacher, W4A4)


def test_only_linear_and_convolutions_can_be_quantized():
    teacher = SRModel("norm", 1, nn.Sequential(nn.LayerNorm(3)), {"0": "image"}, ())
    with pytest.raises(SrqError, match="module 0 is a LayerNorm; only Linear and Conv2d"):
        quantize(teacher, W4A4)
