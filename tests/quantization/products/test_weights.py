"""Operands that are weights: parameters in products, weights that layers share."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from around import LOWER, UPPER, W4A4, Around, model_of, q, with_bounds
from oracle import images
from torch import Tensor, nn

from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.protocol.bits import Bits
from sr_ptq_bench.quantization.network import SRModel
from sr_ptq_bench.quantization.products.product import Product, ProductOperand
from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.quantization.quantizer import Bounds
from sr_ptq_bench.quantization.student import cached_quantized_weights, quantizers_off, site_elements
from sr_ptq_bench.runs.count import count
from sr_ptq_bench.tracing.open_network import open_network


@pytest.mark.parametrize(
    ("function", "name", "of_layer"),
    [
        (lambda m, x: x @ m.matrix, "inner.matmul0.b", False),
        (lambda m, x: (m.matrix @ x.transpose(1, 2)).transpose(1, 2), "inner.matmul0.a", False),
        (lambda m, x: x @ m.matrix.t(), "inner.matmul0.b", False),
        (lambda m, x: x @ m.matrix.T, "inner.matmul0.b", False),
        (lambda m, x: F.linear(x, m.matrix), "inner.matmul0.b", True),
        (lambda m, x: F.linear(input=x, weight=m.matrix), "inner.matmul0.b", True),
    ],
)
def test_a_parameter_in_a_product_is_a_weight(function, name: str, of_layer: bool) -> None:
    model, x = model_of(function), images(1, 8)
    student = quantize(model, Bits.parse("w3a5"))
    site = student.quantizers[name].site
    assert (site.role, site.input_kind, site.layer) == ("weight", "parameter", "linear" if of_layer else None)
    assert student.weights[name] is student.network.inner.matrix
    assert count(student).parameters == {32: 4 + 12, 3: 16 + 12 + 48}
    with_bounds(student)
    with torch.no_grad():
        expected = student(x)
        with cached_quantized_weights(student):
            assert torch.equal(student(x), expected)


def test_a_parameter_that_something_else_reads_is_no_weight() -> None:
    model = model_of(lambda m, x: x @ m.matrix + m.matrix.sum())
    assert model.products == {"inner.matmul0": Product(ProductOperand("conv"), ProductOperand("other"))}
    assert set(quantize(model, W4A4).weights) == {"head.weight", "tail.weight"}


def test_layers_of_derived_classes_and_of_two_names_are_products() -> None:
    class Derived(nn.Linear):
        pass

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.derived, self.one = Derived(4, 4), nn.Linear(4, 4)
            self.other = self.one

        def forward(self, x: Tensor) -> Tensor:
            return self.other(self.derived(x))

    model = open_network(Around(Two()), "any", 2)
    assert set(model.products) == {"inner.derived.matmul0", "inner.one.matmul0"}
    assert model.unquantized_ops == ""
    student = quantize(model, W4A4)
    assert count(student).macs.keys() == {4}
    assert {"inner.derived.matmul0.b", "inner.one.matmul0.b"} < set(student.weights)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(4, 4), nn.Linear(4, 4)
        self.other.weight = self.one.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.other(F.gelu(self.one(x)))


def test_a_weight_that_two_layers_share_is_quantized_and_counted_once() -> None:
    model, x = open_network(Around(Tied()), "any", 2), images(1, 8)
    student = with_bounds(quantize(model, W4A4))
    assert [name for name in student.quantizers if name.startswith("inner")] == [
        "inner.one.weight", "inner.one.input", "inner.other.input",
    ]  # fmt: skip
    student.quantizers["inner.one.weight"].set_bounds(Bounds(-0.21, 0.17))
    with torch.no_grad():
        expected = student(x)
        with cached_quantized_weights(student):
            assert torch.equal(student(x), expected)
    assert sum(weight.numel() for weight in student.weights.values()) == 12 + 16 + 48
    assert count(student).parameters == {32: 4 + 4 + 4 + 12, 4: 12 + 16 + 48}


@pytest.mark.parametrize(
    ("other", "written"),
    [
        (lambda x, w: F.linear(x, w.t()), lambda x, w: x @ w),
        (lambda x, w: x @ w.T, lambda x, w: x @ w.T),
        (lambda x, w: x @ w, lambda x, w: x @ w),
    ],
)
def test_a_weight_that_is_transposed_too_has_no_channels(other, written) -> None:
    """Rows of the one are columns of the other; the numbers of one range are right in both."""
    model, x = model_of(lambda m, x: other(F.gelu(F.linear(x, m.matrix)), m.matrix)), images(1, 8)
    student = quantize(model, W4A4)
    weight = student.quantizers["inner.matmul0.b"]
    with pytest.raises(SrqError, match=r"site inner\.matmul0\.b has no channels"):
        weight.set_bounds(Bounds(torch.full((4,), -0.3), torch.full((4,), 0.4)))
    weight.set_bounds(Bounds(LOWER, UPPER))
    for name, quantizer in student.quantizers.items():
        quantizer.enabled = name == "inner.matmul0.b"
    with torch.no_grad():
        y = model.network.head(x)
        matrix, tokens = q(model.network.inner.matrix), y.flatten(2).transpose(1, 2)
        tokens = written(F.gelu(tokens @ matrix.T), matrix)
        y = model.network.tail(tokens.transpose(1, 2).reshape(y.shape))
        torch.testing.assert_close(student(x), F.pixel_shuffle(y, 2), atol=1e-5, rtol=0)


def test_numbers_of_a_weight_count_once_however_often_its_layer_runs() -> None:
    class Again(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(self.layer(self.layer(x)))

    elements = site_elements(quantize(open_network(Around(Again()), "any", 2), W4A4))
    pixels = elements["head.input"] // 3
    assert elements["inner.layer.weight"] == 16
    assert elements["inner.layer.input"] == 3 * 4 * pixels


@pytest.mark.parametrize("attribute", ["weight", "bias", "in_channels", "stride"])
def test_code_of_the_network_may_ask_a_layer_what_it_is(attribute: str) -> None:
    network = Around(nn.Identity())
    student = quantize(open_network(network, "any", 2), W4A4)
    mine, its = getattr(student.network.tail, attribute), getattr(network.tail, attribute)
    assert torch.equal(mine, its) if isinstance(its, Tensor) else mine == its
    with pytest.raises(AttributeError, match="no attribute 'colour'"):
        student.network.tail.colour  # noqa: B018


def test_a_layer_may_be_called_by_keyword() -> None:
    class ByKeyword(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(input=x)

    model = open_network(Around(ByKeyword()), "any", 2)
    with torch.no_grad(), quantizers_off(student := quantize(model, W4A4)):
        assert torch.equal(student(images(1, 8)), model(images(1, 8)))


def test_a_layer_in_full_precision_keeps_the_weight_that_it_shares() -> None:
    network, x = Around(Tied()), images(1, 8)
    model = SRModel("any", 2, network.eval(), {"inner.one": "conv"}, ())
    student = with_bounds(quantize(model, W4A4))
    with torch.no_grad():
        expected = student(x)
        with cached_quantized_weights(student):
            assert torch.equal(student(x), expected)
