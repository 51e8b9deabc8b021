"""The scores of a student, and what is counted with them."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from ...errors import prefix_error
from ...evaluation.levels import counted_levels
from ...evaluation.score import network_upscaler, score_datasets
from ...hooks.guard import settings_restored
from ...quantization.state.save_load import KINDS
from ...quantization.student import cached_quantized_weights

if TYPE_CHECKING:
    import numpy as np

    from ...cache.resume import ScoreLog
    from ...progress import Progress
    from ...quantization.student import Student
    from ...records.record import MostLevels
    from ...records.scores import Scores
    from ..prepare import PreparedRun


@settings_restored()  # a plugin's quantizers run here
def score_student(
    run: PreparedRun, student: Student, progress: Progress, log: ScoreLog | None = None
) -> tuple[Scores, MostLevels | None]:
    """The scores of a student on the test sets of the run, and the most levels if they are not bounded by the bits.

    Scores in the log are not measured again, unless levels are counted that a kind of quantizer does not bound.
    Raises SrqError for a site with more levels than its bits allow, unless its quantizer announces them.
    """
    upscaler = network_upscaler(student.model, run.tiles, run.spec.seed)
    if not all(type(quantizer) in KINDS.values() for quantizer in student.quantizers.values()):
        log = None
    of_method = f"method '{run.spec.method}'"
    with cached_quantized_weights(student, run.spec.seed), ExitStack() as stack:
        with prefix_error(of_method):
            levels = stack.enter_context(counted_levels(student))
            levels.check()  # of the weights

        def counted(lr: np.ndarray) -> np.ndarray:
            with prefix_error(of_method):
                sr = upscaler(lr)
                levels.check()
            return sr

        scores = score_datasets(counted, run.tests, run.spec.scale, run.plugins, progress, log)
        return scores, levels.most()


def site_bits(run: PreparedRun, student: Student) -> dict[str, int]:
    """The bits of the sites that differ from those of the run."""
    return {
        name: quantizer.bits
        for name, quantizer in student.quantizers.items()
        if quantizer.bits != run.spec.bits.of(quantizer.site.role)
    }
