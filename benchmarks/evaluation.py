"""Scoring: a student whose weights are quantized once against the full-precision network, and the cache."""

from __future__ import annotations

import torch

from benchmarks import network
from benchmarks.compare import Row, alternate
from sr_ptq_bench.model import weights_quantized_once


def rows() -> list[Row]:
    """One image of 256x256 pixels."""
    model = network.teacher()
    student = network.student(model)
    lr = network.patches(1, 256)
    with torch.inference_mode(), weights_quantized_once(student):
        full, quantized = alternate(lambda: model(lr), lambda: student(lr), 7)
    work, ways, ratio = "one image of 256x256, weights quantized once", "FP network / student", quantized / full
    return [Row(work, ways, f"{full:.2f} s", f"{quantized:.2f} s", f"{ratio:.2f}x its time", "<= 1.2x")]
