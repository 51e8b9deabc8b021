"""The student before any bounds: bits, quantizers, weights that the method changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...quantization.quantize import quantize
from ...quantization.student import quantizers_off

if TYPE_CHECKING:
    from ...data.patches import Batches
    from ...progress import TimedStages
    from ...quantization.student import Student
    from ..prepare import PreparedRun


def build_student(run: PreparedRun, stage: TimedStages, batches: Batches) -> tuple[Student, dict[str, int]]:
    """The quantized copy of the network, with the weights that the method changed, without bounds; bits it chose."""
    bits, method = run.spec.bits, run.method
    chosen: dict[str, int] = {}
    if method.chooses_bits:
        with stage("choose bits"):
            chosen = method.choose_bits(quantize(run.teacher, bits), batches, bits)
    student = quantize(run.teacher, bits, method.make_quantizer, chosen)
    if method.transforms:
        with stage("transform"), quantizers_off(student):
            method.transform(student, batches)
    return student, chosen
