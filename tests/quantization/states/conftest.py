"""A student with quantizers of its own."""

from __future__ import annotations

import pytest
import torch
from oracle import mixed
from states import W4A4, Scaled, scaled_on_operands

from sr_ptq_bench import Bounds
from sr_ptq_bench.quantization.quantize import quantize


@pytest.fixture
def own():
    """A teacher, and its student with quantizers that only a plugin knows."""
    teacher = mixed()
    student = quantize(teacher, W4A4, scaled_on_operands)
    for number, quantizer in enumerate(student.quantizers.values()):
        quantizer.set_bounds(Bounds(-1.0 - number, 1.0))
        if isinstance(quantizer, Scaled):
            quantizer.gain.data = torch.tensor(1 + number / 3)
            quantizer.steps += number
            quantizer.inner.weight.data.fill_(number / 7)
    return teacher, student
