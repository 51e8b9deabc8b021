"""A fused attention is two products."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from around import W4A4, attend, model_of, q, with_bounds
from oracle import images

from sr_ptq_bench.quantization.observe import observe
from sr_ptq_bench.quantization.products.functions import FusedAttention
from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.quantization.student import quantizers_off


def test_fused_attention_is_two_products_with_a_softmax_between() -> None:
    model, x = model_of(attend), images(1, 8)
    assert {name: (p.a.input_kind, p.b.input_kind) for name, p in model.products.items()} == {
        "inner.matmul0": ("query", "key"),
        "inner.matmul1": ("softmax", "value"),
    }
    student = quantize(model, W4A4)
    with torch.no_grad(), quantizers_off(student):
        assert torch.equal(student(x), model(x))
    seen = observe(student, lambda: [x])["inner.matmul1.a"]
    assert 0 <= seen.minimum < seen.maximum <= 1
    assert seen.count == 2 * 64 * 64
    with_bounds(student)
    for name, quantizer in student.quantizers.items():
        quantizer.enabled = "matmul" in name
    with torch.no_grad():
        heads = model.network.head(x).flatten(2).transpose(1, 2).view(1, 64, 2, 2).transpose(1, 2)
        scores = q(heads * 3 / math.sqrt(2)) @ q((heads + 1).transpose(-2, -1))
        y = (q(torch.softmax(scores, -1)) @ q(heads)).transpose(1, 2).reshape(1, 64, 4)
        y = model.network.tail(y.transpose(1, 2).reshape(1, 4, 8, 8))
        torch.testing.assert_close(student(x), F.pixel_shuffle(y, 2), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scale": 0.3},
        {"is_causal": True},
        {"attn_mask": torch.linspace(-2, 2, 35).view(5, 7)},
        {"attn_mask": torch.ones(5, 7).tril(3).bool()},
        {"attn_mask": torch.arange(5)[:, None].expand(5, 7) > 0},
    ],
)
def test_fused_attention_taken_apart_computes_the_same(options) -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(2, 4, 5, 6), torch.randn(2, 4, 7, 6), torch.randn(2, 4, 7, 3)
    fused = FusedAttention(query, key, value, **options).compute(lambda pair: pair, lambda pair: pair)
    torch.testing.assert_close(fused, F.scaled_dot_product_attention(query, key, value, **options))


def test_fused_attention_with_fewer_heads_of_keys() -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(2, 4, 5, 6), torch.randn(2, 2, 7, 6), torch.randn(2, 2, 7, 6)
    fused = FusedAttention(query, key, value, enable_gqa=True).compute(lambda pair: pair, lambda pair: pair)
    torch.testing.assert_close(fused, F.scaled_dot_product_attention(query, key, value, enable_gqa=True))
