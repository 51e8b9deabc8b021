"""Whole architectures."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from around import W4A4
from checkpoints import SIDE, WITH_ATTENTION, loaded
from oracle import images
from torch.utils.flop_counter import FlopCounterMode

from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.quantization.student import quantizers_off
from sr_ptq_bench.runs.count import count


@pytest.mark.parametrize("name", WITH_ATTENTION)
def test_every_product_of_an_architecture_is_a_site(name: str, tmp_path: Path) -> None:
    """Torch's own counter of operations knows nothing of modules or functions."""
    model = loaded(name, 2, tmp_path)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model.network(torch.zeros(1, 3, 64, 64))
    assert count(quantize(model, W4A4)).macs == {4: counter.get_total_flops() // 2}
    for product in model.products.values():
        kinds = (product.a.input_kind, product.b.input_kind)
        assert kinds in (("query", "key"), ("softmax", "value")) or product.is_linear


@pytest.mark.parametrize("name", WITH_ATTENTION)
def test_without_quantizers_an_architecture_computes_the_same_to_the_last_bit(name: str, tmp_path: Path) -> None:
    model, lr = loaded(name, 2, tmp_path), images(2, SIDE + 3, 24)
    student = quantize(model, W4A4)
    with torch.no_grad(), quantizers_off(student):
        assert torch.equal(student(lr), model(lr))
        output, features = student.with_features(lr)
        expected, of_teacher = model.with_features(lr)
    assert torch.equal(output, expected)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(features, of_teacher, strict=True))
