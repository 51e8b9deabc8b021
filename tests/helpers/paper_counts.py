"""How the 2DQuant paper counts parameters and MACs: the oracle of its printed compression and speedup."""

from __future__ import annotations

from torch import nn

from sr_ptq_bench.quantization.quantize import QuantizedLayer
from sr_ptq_bench.quantization.student import Student
from sr_ptq_bench.records.complexity import FULL_PRECISION, Complexity
from sr_ptq_bench.runs.count import count

TABLE_2_SIDE = 128
"""Of the LR image in 2DQuant's Table 2, in pixels."""
TABLE_2_CONV, TABLE_2_OTHER = 2_330_000_000, 70_000_000
"""MACs that 2DQuant's Table 2 gives beside those of Linear layers and matrix products."""


def count_as_2dquant(student: Student) -> Complexity:
    """Count swinir-light x4 as the 2DQuant paper does for its theoretical compression and speedup.

    Parameters: without the tables of relative-position biases. MACs: of Linear layers and matrix products at 128 x 128
    LR pixels as they are; of all else what Table 2 prints. Its convolutions are three quarters of the network's.
    """
    layers = [module.layer for module in student.network.modules() if isinstance(module, QuantizedLayer)]
    model = student.model
    if (model.name, model.scale) != ("swinir-light", 4) or any(isinstance(of, nn.Conv2d) for of in layers):
        raise ValueError("the 2DQuant paper counts swinir-light x4 alone, with its convolutions in full precision")
    exact = count(student)
    tables = sum(p.numel() for name, p in student.network.named_parameters() if name.endswith("bias_table"))
    area = TABLE_2_SIDE**2
    return Complexity(
        parameters=exact.parameters | {FULL_PRECISION: exact.parameters[FULL_PRECISION] - tables},
        macs={bits: macs * area // exact.lr_pixels for bits, macs in exact.macs.items()}
        | {FULL_PRECISION: TABLE_2_CONV + TABLE_2_OTHER},
        lr_pixels=area,
    )
