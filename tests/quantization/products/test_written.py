"""A product is seen and quantized however it is written."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from around import W4A4, mixing, model_of, q, with_bounds
from oracle import images

from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.quantization.student import quantizers_off

WRITTEN = {
    "matmul": lambda _m, x: torch.matmul(x, mixing(x)),
    "at": lambda _m, x: x @ mixing(x),
    "method": lambda _m, x: x.matmul(mixing(x)),
    "linalg": lambda _m, x: torch.linalg.matmul(x, mixing(x)),
    "keyword": lambda _m, x: torch.matmul(input=x, other=mixing(x)),
    "rmatmul": lambda _m, x: mixing(x).__rmatmul__(x),
    "bmm": lambda _m, x: torch.bmm(x, mixing(x)),
    "bmm keyword": lambda _m, x: x.bmm(mat2=mixing(x)),
    "baddbmm": lambda _m, x: torch.baddbmm(torch.zeros(1), x, mixing(x)),
    "baddbmm keyword": lambda _m, x: torch.zeros(1).baddbmm(batch1=x, batch2=mixing(x)),
    "in place": lambda _m, x: torch.zeros_like(x).baddbmm_(x, mixing(x)),
    "einsum": lambda _m, x: torch.einsum("nij,njk->nik", x, mixing(x)),
    "einsum of a list": lambda _m, x: torch.einsum("nij,njk->nik", [x, mixing(x)]),
    "linear": lambda _m, x: torch.stack([F.linear(a, b.T) for a, b in zip(x, mixing(x), strict=True)]),
}


@pytest.mark.parametrize("how", WRITTEN)
def test_a_product_is_quantized_however_it_is_written(how: str) -> None:
    """The second product of a module; its student is computed by hand."""
    model, x = model_of(WRITTEN[how]), images(1, 8)
    student = with_bounds(quantize(model, W4A4))
    names = [name for name in student.quantizers if "matmul" in name]
    assert names == [f"inner.matmul{number}.{side}" for number in (0, 1) for side in "ab"]
    network = model.network
    with torch.no_grad():
        tokens = F.conv2d(q(x), q(network.head.weight), network.head.bias).flatten(2).transpose(1, 2)
        mixed = q(tokens) @ q(q(tokens.transpose(1, 2)) @ q(tokens) / tokens.shape[1])
        y = F.conv2d(q(mixed.transpose(1, 2).reshape(1, 4, 8, 8)), q(network.tail.weight), network.tail.bias)
        torch.testing.assert_close(student(x), F.pixel_shuffle(y, 2), atol=1e-5, rtol=0)
        with quantizers_off(student):
            assert torch.equal(student(x), model(x))


def test_kinds_of_operands_that_lead_to_no_softmax() -> None:
    model = model_of(lambda _m, x: F.relu(x) @ (F.gelu(x.transpose(1, 2)) @ F.layer_norm(x, (4,))))
    assert [(p.a.input_kind, p.b.input_kind) for p in model.products.values()] == [
        ("gelu", "layernorm"),
        ("relu", "other"),
    ]
