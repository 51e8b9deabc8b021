"""Products that have no activation to quantize."""

from __future__ import annotations

import pytest
import torch
from around import W4A4, Around, mixing, model_of, with_bounds
from oracle import images
from torch import Tensor, nn

from sr_ptq_bench.protocol.bits import Bits
from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.quantization.student import quantizers_off
from sr_ptq_bench.tracing.open_network import open_network


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_product_of_parameters_alone_stays_in_full_precision(bits: int) -> None:
    """The norm of a weight by power iteration is a constant of a deployed network."""
    network = Around(torch.nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4)))
    model = open_network(network, "any", 2)
    student = quantize(model, Bits(weight=bits, activation=bits))
    assert not [name for name in student.quantizers if "parametrizations" in name]
    assert all(product.is_constant for name, product in model.products.items() if "parametrizations" in name)


def test_a_tensor_from_code_that_torch_does_not_show_is_no_constant() -> None:
    class Own(torch.autograd.Function):
        @staticmethod
        def forward(_ctx, x: Tensor) -> Tensor:
            return x * 2

    model = model_of(lambda _m, x: Own.apply(x) @ Own.apply(mixing(x)))
    assert not any(product.is_constant for product in model.products.values())


@pytest.mark.parametrize("kind", [torch.complex64, torch.int64])
def test_products_of_other_numbers_than_real_ones_are_reported_and_not_quantized(kind: torch.dtype) -> None:
    def function(_module: nn.Module, x: Tensor) -> Tensor:
        other = (x * 8).to(kind)
        return x + (other @ other.transpose(1, 2)[..., :4]).real.float()

    model = model_of(function)
    assert not model.products
    student = with_bounds(quantize(model, W4A4))
    with torch.no_grad(), quantizers_off(student):
        assert torch.equal(student(images(1, 8)), model(images(1, 8)))
