"""The student is the teacher with quantizers, and the teacher never changes."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from oracle import Mixed, bounded, images, mixed, quantized, sites_of, swinir, tiny_teacher
from torch import Tensor, nn

from sr_ptq_bench.backbones.swinir import open_sites
from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.protocol.bits import Bits
from sr_ptq_bench.quantization.network import SRModel, with_padding
from sr_ptq_bench.quantization.observe import observe
from sr_ptq_bench.quantization.quantize import QuantizedLayer, quantize
from sr_ptq_bench.quantization.quantizer import Bounds, Quantizer, Site
from sr_ptq_bench.quantization.student import cached_quantized_weights, quantizers_off, site_elements

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


def state(model: SRModel) -> dict[str, Tensor]:
    return {name: v.clone() for name, v in model.network.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(v, other[name]) for name, v in one.items())


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


@pytest.mark.parametrize("size", [(8, 8), (16, 24), (13, 9)])
def test_off_is_the_teacher_to_the_last_bit(size):
    teacher = tiny_teacher()
    student, lr = bounded(teacher, "2"), images(2, *size)
    with torch.no_grad(), quantizers_off(student):
        assert torch.equal(student(lr), teacher(lr))
    with torch.no_grad():
        assert not torch.equal(student(lr), teacher(lr))


def test_off_is_the_teacher_with_convolutions():
    teacher, lr = mixed(), images(2, 7)
    student = quantize(teacher, W4A4)
    with quantizers_off(student):
        assert torch.equal(student(lr), teacher(lr))


def test_quantizers_off_restores_each_even_after_an_error():
    student = quantize(mixed(), W4A4)
    student.quantizers["mark"].enabled = False
    with pytest.raises(KeyError), quantizers_off(student):
        assert not any(q.enabled for q in student.quantizers.values())
        raise KeyError
    assert [name for name, q in student.quantizers.items() if not q.enabled] == ["mark"]


def test_the_teacher_is_never_touched():
    teacher, lr = tiny_teacher(), images(1, 16)
    before, output, modules = state(teacher), teacher(lr), [type(m) for m in teacher.network.modules()]
    student = bounded(teacher, "2")
    observe(student, lambda: [lr])
    student.network.requires_grad_()
    student(lr).sum().backward()
    with torch.no_grad():
        for parameter in student.network.parameters():
            parameter.mul_(3)
    with cached_quantized_weights(student):
        student(lr)
    assert same(state(teacher), before)
    assert [type(m) for m in teacher.network.modules()] == modules
    assert not any(p.requires_grad or p.grad is not None for p in teacher.network.parameters())
    assert torch.equal(teacher(lr), output)


def test_student_and_teacher_share_no_memory():
    teacher = tiny_teacher()
    taken = {v.data_ptr() for v in teacher.network.state_dict().values()}
    student = quantize(teacher, W4A4)
    assert not taken & {p.data_ptr() for p in student.network.parameters() if p.numel()}


def test_the_student_keeps_all_else_of_the_teacher():
    teacher = with_padding(tiny_teacher(), "window")
    student = quantize(teacher, W4A4)
    for name in ("name", "scale", "features", "first_last_layers", "size_multiple", "padding", "scope"):
        assert getattr(student.model, name) == getattr(teacher, name)
    assert student.network is student.model.network
    assert student.device == teacher.device


def test_a_student_is_called_as_its_network():
    student, lr = bounded(tiny_teacher((1, 1)), "3"), images(1, 9)
    with torch.no_grad():
        output, features = student.with_features(lr)
        assert torch.equal(student(lr), student.model(lr))
        assert torch.equal(output, student.model(lr))
        assert all(map(torch.equal, features, student.model.with_features(lr)[1]))
    assert len(features) == 2


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
