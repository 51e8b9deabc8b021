"""The number of products must not depend on the image."""

from __future__ import annotations

import pytest
import torch
from around import W4A4, mixing, model_of, with_bounds
from oracle import images
from torch import Tensor, nn

from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.quantization.student import quantizers_off


@pytest.mark.parametrize(
    ("function", "product"),
    [
        (lambda _m, x: torch.cat([part @ mixing(x) for part in x.split(64, 1)], 1), "inner.matmul8"),
        (lambda _m, x: x @ mixing(x) if x.shape[1] > 256 else x, "inner.matmul0"),
    ],
)
def test_a_product_whose_number_depends_on_the_size_is_refused_by_name(function, product: str) -> None:
    with pytest.raises(SrqError, match=rf"makes the product {product} \d+ times for an image of 16x16 pixels and \d+ "):
        model_of(function)


def test_a_product_that_only_a_larger_image_has_is_refused_when_it_comes() -> None:
    def function(_module: nn.Module, x: Tensor) -> Tensor:
        y = x @ mixing(x)
        return y @ mixing(y) if x.shape[1] > 1000 else y

    model = model_of(function)
    student = with_bounds(quantize(model, W4A4))
    student(images(1, 16))
    with pytest.raises(SrqError, match=r"product inner\.matmul2 depends on the image"):
        student(images(1, 40))
    with torch.no_grad(), quantizers_off(student):
        assert torch.equal(student(images(1, 16)), model(images(1, 16)))  # the error left no mode behind


def test_a_product_that_a_larger_image_lacks_is_refused() -> None:
    model = model_of(lambda _m, x: x @ mixing(x) if x.shape[1] <= 1000 else x)
    student = with_bounds(quantize(model, W4A4))
    with pytest.raises(SrqError, match=r"product inner\.matmul0 depends on the image"):
        student(images(1, 40))
