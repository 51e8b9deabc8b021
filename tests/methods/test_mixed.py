"""Bits by sensitivity: the allocation against all choices, the error against the one that quantization makes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from srq_baselines.allocation import WIDTHS, Macs, Mean, allocate
from srq_baselines.mixed import Options, output_errors, quantized
from torch import nn

from sr_ptq_bench import Batches, Bits, SRModel, open_network
from sr_ptq_bench.quantization.products.macs import count_macs
from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.quantization.student import site_elements


@settings(max_examples=60, deadline=None)
@given(
    sites=st.lists(st.tuples(st.integers(1, 1000), st.floats(0, 1e6)), min_size=1, max_size=4),
    mean=st.integers(2, 8),
)
def test_allocation_is_the_best_of_all_choices(sites, mean):
    """Errors fall fourfold with every bit, as those of uniform quantization do."""
    sizes = [size for size, _ in sites]
    errors = [[scale * 4.0**-width for width in WIDTHS] for _, scale in sites]

    def total(widths):
        return sum(error[WIDTHS.index(width)] for error, width in zip(errors, widths, strict=True))

    def fits(widths):
        return np.dot(widths, sizes) <= mean * sum(sizes)

    best = min(total(widths) for widths in itertools.product(WIDTHS, repeat=len(sites)) if fits(widths))
    chosen = allocate(errors, [Mean(sizes, mean)])
    assert fits(chosen)
    assert total(chosen) <= best * 1.001 + 1e-9 * max(map(max, errors))


@settings(max_examples=25, deadline=None)
@given(
    sites=st.lists(st.tuples(st.integers(1, 1000), st.floats(0, 1e6)), min_size=4, max_size=4),
    counts=st.lists(st.integers(1, 10_000), min_size=3, max_size=3),
    bits=st.tuples(st.integers(2, 8), st.integers(2, 8)),
)
def test_allocation_on_multiply_accumulates_is_the_best_of_all_choices(sites, counts, bits):
    """Two weights and two activations in three products; a product has the bits of its wider operand."""
    weights, activations = ([size * (place // 2 == role) for place, (size, _) in enumerate(sites)] for role in (0, 1))
    pairs = [(0, 2), (1, 3), (2, 3)]
    nominal = (counts[0] + counts[1]) * max(bits) + counts[2] * bits[1]
    errors = [[scale * 4.0**-width for width in WIDTHS] for _, scale in sites]
    every = np.array(list(itertools.product(WIDTHS, repeat=4)))
    fits = (
        (every @ weights <= bits[0] * sum(weights))
        & (every @ activations <= bits[1] * sum(activations))
        & (every[:, np.array(pairs)].max(axis=2) @ counts <= nominal)
    )
    totals = np.array(errors)[np.arange(4), every - WIDTHS[0]].sum(axis=1)
    chosen = allocate(errors, [Mean(weights, bits[0]), Mean(activations, bits[1])], Macs(pairs, counts, nominal))
    place = int((every == chosen).all(axis=1).argmax())
    assert fits[place]
    assert totals[place] <= totals[fits].min() * 1.01 + 1e-9 * max(map(max, errors))


def test_the_more_sensitive_of_two_equal_sites_gets_more_bits():
    errors = [[scale * 4.0**-width for width in WIDTHS] for scale in (1.0, 4.0**4)]
    assert allocate(errors, [Mean([10, 10], 4)]) == [2, 6]


@pytest.fixture
def one_layer() -> SRModel:
    """y = W x per pixel, and no more: the Jacobian of the output with respect to both sites is known."""
    generator = torch.Generator().manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 12, 1, bias=False), nn.PixelShuffle(2))
    network[0].weight.data = torch.randn(12, 3, 1, 1, generator=generator)
    network.eval().requires_grad_(False)
    return SRModel("one", 2, network, {"0": "image"}, ())


@pytest.fixture
def batches() -> Batches:
    patches = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    return Batches(patches, list(patches))


def test_the_error_of_an_input_is_that_of_the_output(one_layer, batches):
    """E (v . W d)^2 = sum_i |W_i|^2 d_i^2 for one linear layer."""
    student = quantize(one_layer, Bits.parse("4"))
    found = output_errors(student, batches, Options(patches=2, patch=8, vectors=400))["0.input"]
    columns = one_layer.network[0].weight.square().sum(dim=(0, 2, 3)).double()
    for index, bits in enumerate(WIDTHS):
        expected = sum(
            float((columns[:, None, None] * (quantized(lr, bits, False) - lr).double().square()).sum())
            for lr in batches.fixed(1)
        )
        assert found[index] == pytest.approx(expected, rel=0.1)


def test_the_error_of_a_weight_is_that_of_the_output(one_layer, batches):
    """E (v . d x)^2 = sum_oi d_oi^2 sum_p x_ip^2."""
    student = quantize(one_layer, Bits.parse("4"))
    found = output_errors(student, batches, Options(patches=2, patch=8, vectors=400))["0.weight"]
    weight = one_layer.network[0].weight
    power = sum(lr.double().square().sum(dim=(0, 2, 3)) for lr in batches.fixed(1))
    for index, bits in enumerate(WIDTHS):
        error = (quantized(weight, bits, False) - weight).double().square()
        assert found[index] == pytest.approx(float((error[..., 0, 0] * power).sum()), rel=0.1)


class Twice(nn.Module):
    """y = W x - W 0.9 x: the two uses of the weight cancel for the most part."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer, self.shuffle = layer, nn.PixelShuffle(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.shuffle(self.layer(x) - self.layer(0.9 * x))


def test_a_weight_that_is_read_twice_has_the_error_of_both_uses(one_layer, batches):
    """W x - W 0.9 x = W 0.1 x, so its squared errors are a hundredth of those of W x."""
    twice = SRModel("twice", 2, Twice(one_layer.network[0]).eval(), {"layer": "image"}, ())
    asked = Options(patches=2, patch=8, vectors=400)
    once = output_errors(quantize(one_layer, Bits.parse("4")), batches, asked)["0.weight"]
    both = output_errors(quantize(twice, Bits.parse("4")), batches, asked)["layer.weight"]
    assert both == pytest.approx([error / 100 for error in once], rel=0.05)


class Attention(nn.Module):
    """One attention over the pixels, fused or written out."""

    def __init__(self, fused: bool) -> None:
        super().__init__()
        self.fused, self.head, self.tail = fused, nn.Conv2d(3, 8, 1), nn.Conv2d(8, 12, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.head(x).flatten(2).mT
        if self.fused:
            y = nn.functional.scaled_dot_product_attention(tokens, tokens, tokens)
        else:
            y = torch.softmax(8**-0.5 * tokens @ tokens.mT, -1) @ tokens
        return nn.functional.pixel_shuffle(self.tail(y.mT.unflatten(2, x.shape[2:])), 2)


def test_fused_attention_has_the_errors_and_products_of_one_written_out(batches):
    found = []
    for fused in (True, False):
        network = Attention(fused).eval().requires_grad_(False)
        for tensor in network.state_dict().values():
            tensor.copy_(torch.linspace(-1, 2, tensor.numel()).view_as(tensor))
        student = quantize(open_network(network, "one", 2), Bits.parse("4"))
        errors = output_errors(student, batches, Options(patches=1, patch=8))
        found.append((errors, count_macs(student, 8)))
    (fused, counts), (written, expected) = found
    assert counts == expected
    assert len(counts.of_sites) == 4, "two layers and two products"
    assert fused.keys() == written.keys()
    for name, errors in written.items():
        assert errors[0] > 0
        assert fused[name] == pytest.approx(errors, rel=1e-3)


def test_the_student_is_left_as_it_was(one_layer, batches):
    student = quantize(one_layer, Bits.parse("4"))
    output_errors(student, batches, Options(patches=1, patch=8))
    assert all(quantizer.enabled for quantizer in student.quantizers.values())
    assert all(not quantizer._forward_hooks for quantizer in student.quantizers.values())
    assert all(parameter.grad is None for parameter in student.network.parameters())


def test_quantized_is_the_best_of_narrowing_bounds():
    v = torch.tensor([-1.0, -0.9, 0.0, 0.1, 5.0])
    levels = quantized(v, 2, one_sided=True)
    assert levels.min() == -1.0
    assert (levels - v).square().sum() <= (quantized(v, 2, one_sided=False) - v).square().sum() + 4.0
    assert len(set(levels.tolist())) <= 4
    assert torch.equal(quantized(torch.full((3,), 2.0), 2, False), torch.full((3,), 2.0))


@pytest.mark.parametrize("bits", ["3", "w3a5", "w2a4", "8"])
def test_a_run_keeps_the_mean(tiny_suite, bits):
    record = tiny.run(tiny_suite, method="mixed+minmax", bits=bits, patch=8)
    nominal = Bits.parse(bits)
    prepared = tiny.prepare(tiny_suite.spec(bits=bits))
    student = quantize(prepared.teacher, nominal)
    elements = site_elements(student)
    for role in ("weight", "activation"):
        sizes = {name: n for name, n in elements.items() if student.quantizers[name].site.role == role}
        widths = {name: record.site_bits.get(name, nominal.of(role)) for name in sizes}
        assert np.average(list(widths.values()), weights=list(sizes.values())) <= nominal.of(role)
        assert set(widths.values()) <= set(WIDTHS)


@pytest.mark.parametrize("bits", ["3", "w3a5"])
def test_a_run_keeps_bytes_and_multiply_accumulates(tiny_suite, bits):
    even = tiny.run(tiny_suite, bits=bits)
    kept = tiny.run(tiny_suite, method="mixed+minmax", bits=bits, patch=8, budget="macs")
    assert kept.complexity.speedup >= even.complexity.speedup
    assert kept.complexity.compression >= even.complexity.compression


def test_two_bits_leave_no_choice(tiny_suite):
    record = tiny.run(tiny_suite, method="mixed+minmax", bits="2")
    assert record.site_bits == {}
    assert record.scores == tiny.run(tiny_suite, bits="2").scores


def test_the_same_seed_gives_the_same_bits(tiny_suite):
    runs = [tiny.run(tiny_suite, method="mixed+minmax", bits="3", patch=8) for _ in range(2)]
    assert runs[0].site_bits == runs[1].site_bits != {}
