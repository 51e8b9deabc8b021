"""What a network stores and computes is counted on the network, and the 2DQuant paper's own count is reproduced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import tiny
import torch
import torch.nn.functional as F
from oracle import swinir, tiny_teacher
from paper_counts import TABLE_2_CONV, TABLE_2_OTHER, count_as_2dquant
from torch import Tensor, nn

from sr_ptq_bench.backbones.swinir import open_sites
from sr_ptq_bench.protocol.bits import Bits
from sr_ptq_bench.protocol.types import Padding
from sr_ptq_bench.quantization.network import Operand, SRModel
from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.quantization.quantizer import Quantizer, Site
from sr_ptq_bench.quantization.student import Student, quantizers_off
from sr_ptq_bench.runs.count import SMALLEST_SIDE, count, parameters

PIXELS = SMALLEST_SIDE**2


def of(network: nn.Module, *layers: str, bits: str = "4", side: int = 1, padding: Padding = "flip") -> Student:
    model = SRModel("any", 1, network, dict.fromkeys(layers, "linear"), (), size_multiple=side, padding=padding)
    return quantize(model, Bits.parse(bits))


def swinir_light(scale: int, bits: str = "4") -> Student:
    return quantize(open_sites(swinir((6,) * 4, 60, 6, scale), "swinir-light", scale), Bits.parse(bits))


class Function(nn.Module):
    """A network of two operands of shape (1, 1, 3, 2) and (1, 1, 2, 5), and a function of them."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.second = Operand("query"), Operand("key")
        self.function = function
        self.norm = nn.LayerNorm(2)  # a network has parameters

    def forward(self, _x: Tensor) -> Tensor:
        return self.function(self.first(torch.ones(1, 1, 3, 2)), self.second(torch.ones(1, 1, 2, 5)))


def macs_of(function: Callable[[Tensor, Tensor], Tensor]) -> dict[int, int]:
    return count(of(Function(function))).macs


# Layers


@pytest.mark.parametrize(
    ("layer", "macs"),
    [
        (nn.Conv2d(3, 4, 3, padding=1), 3 * 4 * 9),
        (nn.Conv2d(3, 4, (1, 5), padding="same"), 3 * 4 * 5),
        (nn.Conv2d(3, 6, 3, padding=1, groups=3), 6 * 9),
        (nn.Conv2d(3, 4, 3, padding=2, dilation=2, padding_mode="reflect"), 3 * 4 * 9),
        (nn.Conv2d(3, 4, 2, stride=2), 3 * 4 * 4 / 4),
    ],
)
def test_a_convolution_by_hand(layer: nn.Module, macs: float) -> None:
    full, quantized = count(of(nn.Sequential(layer))), count(of(nn.Sequential(layer), "0"))
    assert full.macs == {32: macs * PIXELS}
    assert quantized.macs == {4: macs * PIXELS}
    weight, bias = layer.weight.numel(), layer.bias.numel()
    assert (full.parameters, quantized.parameters) == ({32: weight + bias}, {32: bias, 4: weight})


def test_a_transposed_convolution_is_counted_too() -> None:
    assert count(of(nn.ConvTranspose2d(3, 5, 2, stride=2))).macs == {32: 3 * 5 * 4 * PIXELS}


def test_a_linear_layer_by_hand() -> None:
    network = nn.Sequential(nn.Linear(SMALLEST_SIDE, 5), nn.Linear(5, 2, bias=False))
    rows = 3 * SMALLEST_SIDE
    counted = count(of(network, "1"))
    assert counted.macs == {32: rows * SMALLEST_SIDE * 5, 4: rows * 5 * 2}
    assert counted.parameters == {32: SMALLEST_SIDE * 5 + 5, 4: 10}
    assert counted.lr_pixels == PIXELS


def test_a_layer_that_runs_twice_counts_twice_and_is_stored_once() -> None:
    layer = nn.Conv2d(3, 3, 1, bias=False)
    counted = count(of(nn.Sequential(layer, nn.ReLU(), layer), "0"))
    assert counted.macs == {32: 9 * PIXELS, 4: 9 * PIXELS}  # the second name still leads to the FP layer
    assert counted.parameters == {4: 9}


def test_layers_that_share_a_weight_store_it_once() -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 1, bias=False), nn.Conv2d(3, 3, 1, bias=False))
    network[1].weight = network[0].weight
    counted = count(of(network, "0", "1"))
    assert (counted.parameters, counted.macs) == ({4: 9}, {4: 2 * 9 * PIXELS})


@pytest.mark.parametrize(("bits", "stored", "computed"), [("w4a8", 4, 8), ("w8a4", 8, 8), ("w3a2", 3, 3)])
def test_a_product_has_the_bits_of_its_wider_operand(bits: str, stored: int, computed: int) -> None:
    counted = count(of(nn.Sequential(nn.Conv2d(3, 4, 1, bias=False)), "0", bits=bits))
    assert counted.parameters == {stored: 12}
    assert counted.macs == {computed: 12 * PIXELS}


def test_quantizers_may_differ_in_their_bits() -> None:
    def edges_at_eight(site: Site, bits: int) -> Quantizer | None:
        return Quantizer(site, 8) if site.edge else None

    network = nn.Sequential(nn.Conv2d(3, 3, 1, bias=False), nn.Conv2d(3, 3, 1, bias=False), nn.Conv2d(3, 1, 1))
    model = SRModel("any", 1, network, {"0": "image", "1": "conv"}, (), first_last_layers=("0",))
    counted = count(quantize(model, Bits.parse("2"), edges_at_eight))
    assert counted.parameters == {32: 4, 8: 9, 2: 9}
    assert counted.macs == {32: 3 * PIXELS, 8: 9 * PIXELS, 2: 9 * PIXELS}
    assert list(counted.parameters) == list(counted.macs) == [32, 8, 2]


# Matrix products


@pytest.mark.parametrize(
    "function",
    [
        torch.matmul,
        lambda q, k: q @ k,
        lambda q, k: (k.transpose(-2, -1) @ q.transpose(-2, -1)).relu(),
        lambda q, k: torch.bmm(q[0], k[0]),
        lambda q, k: torch.einsum("bhij,bhjk->bhik", q, k),
        lambda q, k: torch.baddbmm(torch.zeros(1, 3, 5), q[0], batch2=k[0]),
        lambda q, k: q[0, 0].mm(k.view(2, 5)),
    ],
)
def test_a_product_of_two_operands_is_quantized_however_it_is_written(
    function: Callable[[Tensor, Tensor], Tensor],
) -> None:
    assert macs_of(function) == {4: 3 * 2 * 5}


@pytest.mark.parametrize(
    "function",
    [
        lambda q, _k: q @ torch.ones(1, 1, 2, 5),
        lambda q, k: (2 * q) @ k,
        lambda q, k: F.linear(q, k.transpose(-2, -1)[0, 0].relu()),
        lambda q, k: q.softmax(-1) @ k,
    ],
)
def test_a_product_with_what_is_no_operand_is_in_full_precision(function: Callable[[Tensor, Tensor], Tensor]) -> None:
    assert macs_of(function) == {32: 3 * 2 * 5}


def test_fused_attention_is_in_full_precision_because_its_softmax_is_no_site() -> None:
    def attend(q: Tensor, k: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k.transpose(-2, -1), k.transpose(-2, -1))

    assert macs_of(attend).keys() == {32}


def test_what_the_operands_were_made_of_is_no_operand() -> None:
    class Raw(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mark = Operand("query")
            self.norm = nn.LayerNorm(2)

        def forward(self, x: Tensor) -> Tensor:
            marked = self.mark(x)
            return (marked @ x) + (x @ x) + (marked @ marked)

    product = 3 * SMALLEST_SIDE**3
    assert count(of(Raw())).macs == {32: 2 * product, 4: product}


# Whole networks


def test_the_tiny_network_by_hand(tiny_suite) -> None:
    model = tiny.srq_load_model("tiny", 2, tiny_suite.folder / "weights.safetensors")
    counted = count(quantize(model, Bits.parse("w3a5")))
    quantized, mixing = 4 * 8 + 8 * 4, 4 * 4
    assert counted.parameters == {32: sum(p.numel() for p in model.network.parameters()) - quantized, 3: quantized}
    head_and_tail = 3 * 4 * 9 + 4 * 12 * 9
    assert counted.macs == {32: (head_and_tail + mixing) * PIXELS, 5: (quantized + mixing) * PIXELS}


@pytest.mark.parametrize(("scale", "convolutions", "total"), [(2, 170_100, 910_152), (4, 189_540, 929_628)])
def test_swinir_light_by_hand(scale: int, convolutions: int, total: int) -> None:
    counted = count(swinir_light(scale, "3"))
    blocks, channels, window = 24, 60, 64
    linear = blocks * 8 * channels**2
    products = blocks * 2 * window * channels
    assert convolutions == 9 * channels * (3 + 5 * channels + 3 * scale**2)
    assert (linear, linear + products) == (691_200, 875_520)
    assert counted.parameters == {32: total - linear, 3: linear}
    assert counted.macs == {32: convolutions * counted.lr_pixels, 3: 875_520 * counted.lr_pixels}


def test_padding_at_test_time_adds_nothing() -> None:
    network = nn.Sequential(nn.Conv2d(3, 1, 1))
    sides = {window: count(of(network, side=window, padding="window")) for window in (1, 7, 16, 20)}
    assert {window: counted.lr_pixels for window, counted in sides.items()} == {1: 256, 7: 441, 16: 256, 20: 400}
    assert all(counted.macs == {32: 3 * counted.lr_pixels} for counted in sides.values())


def test_counting_leaves_the_student_as_it_was() -> None:
    student = quantize(tiny_teacher(), Bits.parse("4"))
    before = {name: v.clone() for name, v in student.network.state_dict().items()}
    hooks = lambda: [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in student.network.modules()]  # noqa: E731
    assert count(student) == count(student)
    assert not any(hooks())
    assert all(torch.equal(v, before[name]) for name, v in student.network.state_dict().items())
    assert all(quantizer.enabled for quantizer in student.quantizers.values())
    lr = torch.rand(1, 3, 16, 16)
    with torch.no_grad(), quantizers_off(student):
        assert torch.equal(student(lr), tiny_teacher()(lr))


def test_an_error_in_the_network_leaves_no_hooks() -> None:
    def fail(_q: Tensor, _k: Tensor) -> Tensor:
        raise ZeroDivisionError

    student = of(Function(fail))
    with pytest.raises(ZeroDivisionError):
        count(student)
    assert not any(m._forward_hooks for m in student.network.modules())


def test_parameters_are_the_network_s_own() -> None:
    class Learned(Quantizer):
        def __init__(self, site: Site, bits: int) -> None:
            super().__init__(site, bits)
            self.scale = nn.Parameter(torch.ones(7))

    teacher = tiny_teacher()
    student = quantize(teacher, Bits.parse("4"), Learned)
    assert (
        parameters(student.network)
        == parameters(teacher.network)
        == sum(p.numel() for p in teacher.network.parameters())
    )


# The 2DQuant paper's own accounting


@pytest.mark.parametrize(("bits", "compression", "speedup"), [("4", 3.07, 3.99), ("3", 3.31, 4.47), ("2", 3.60, 5.08)])
def test_every_digit_of_the_paper(bits: str, compression: float, speedup: float) -> None:
    counted = count_as_2dquant(swinir_light(4, bits))
    assert (round(counted.compression, 2), round(counted.speedup, 2)) == (compression, speedup)


def test_the_shares_of_table_2() -> None:
    counted = count_as_2dquant(swinir_light(4))
    assert counted.lr_pixels == 128 * 128
    linear_and_products, conv, other = (round(n / 1e9, 2) for n in (counted.macs[4], TABLE_2_CONV, TABLE_2_OTHER))
    assert (linear_and_products, conv, other) == (14.34, 2.33, 0.07)
    total = linear_and_products + conv + other
    assert [round(100 * part / total, 2) for part in (linear_and_products, conv, other)] == [85.66, 13.92, 0.42]


def test_where_the_paper_s_count_and_the_exact_one_differ() -> None:
    student = swinir_light(4)
    exact, paper = count(student), count_as_2dquant(student)
    bias_tables = 24 * 6 * 15**2  # per block and head one number for each offset within a window of 8 x 8
    assert exact.parameters[32] - paper.parameters[32] == bias_tables
    assert exact.parameters[4] == paper.parameters[4]
    per_pixel = [{bits: macs / of.lr_pixels for bits, macs in of.macs.items()} for of in (exact, paper)]
    assert per_pixel[0][4] == per_pixel[1][4] == 875_520
    assert round(TABLE_2_CONV / (per_pixel[0][32] * paper.lr_pixels), 3) == 0.75


def with_convolutions() -> Student:
    teacher = open_sites(swinir((1,), scale=4), "swinir-light", 4)
    return quantize(replace(teacher, scope="all"), Bits.parse("4"))


@pytest.mark.parametrize(
    "student", [swinir_light(2), quantize(tiny_teacher(scale=4), Bits.parse("4")), with_convolutions()]
)
def test_the_paper_counts_one_network_and_no_quantized_convolutions(student: Student) -> None:
    with pytest.raises(ValueError, match="swinir-light x4"):
        count_as_2dquant(student)
