"""From the network to the state of a calibrated student."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import torch

from ...cache.resume import Calibrated
from ...data.patches import CountedBatches
from ...errors import SrqError, plugin_errors, prefix_error
from ...hooks.check_bits import check_mean_bits
from ...hooks.guard import settings_restored
from ...quantization.randomness import seed_generators
from ...quantization.state.save_load import load_state, save_state
from ...quantization.training import STEPS, counted_steps
from .. import identity
from .bounds import choose_bounds
from .learning import Learning
from .student import build_student

if TYPE_CHECKING:
    from ...cache.resume import ResumeState
    from ...cache.shared import Cache
    from ...progress import TimedStages
    from ...quantization.student import Student
    from ..prepare import PreparedRun

LOST = 1e-4
"""The mean difference of two outputs, relative to the outputs, that no order of sums explains."""


@settings_restored()  # a plugin's quantizers run here
def calibrate_student(
    run: PreparedRun, cache: Cache, stage: TimedStages, resume: ResumeState, fresh: bool
) -> Calibrated:
    """Quantize the network and let the method choose bounds and train; the state is kept for a killed run."""
    seed_generators(run.spec.seed)
    counts = resume.checkpoint.counts
    of = run.batches
    batches = CountedBatches(of.patches, of.images, of.seed, of.device, counts)
    learning = Learning(run.teacher.network)
    with counted_steps(counts):
        teacher = cache.teacher(identity.teacher_outputs(run), run.teacher, fresh)
        student, chosen_bits = build_student(run, stage, batches)
        learning.note(student, counts[STEPS])
        choose_bounds(run, student, cache, stage, fresh)
        seed_generators(run.spec.seed)
        with stage("calibrate") as progress:
            log = run.method.calibrate(student, teacher, batches, progress, resume.checkpoint)
        learning.note(student, counts[STEPS])
    if teacher.is_changed():
        plugin = run.method.calibrator
        raise SrqError(f"plugin '{plugin}' changes the full-precision network; a method changes the student")
    fails = "the calibrated network fails on a calibration patch"
    with prefix_error(f"method '{run.spec.method}'"), plugin_errors(fails):
        check_mean_bits(student, run.spec.bits, chosen_bits)
        state = _state_of(run, student, stage)
    seconds = stage.seconds["calibrate"] + resume.checkpoint.seconds_before
    calibrated = Calibrated(state, log, seconds, learning.learned(batches.drawn))
    resume.keep(calibrated)
    return calibrated


def _state_of(run: PreparedRun, student: Student, stage: TimedStages) -> bytes:
    """The state of the student; says so where the restored student is another one."""
    state = save_state(student, run.teacher)
    if not _is_restored(run, student, state):
        lost = "keeps something where no state has it: the student that is scored is not the calibrated one"
        stage.reporter.say(f"Method '{run.spec.method}' {lost} (docs/hooks.md, What is kept of a student).")
    return state


def _is_restored(run: PreparedRun, student: Student, state: bytes) -> bool:
    """Whether the student of the state gives the output of the calibrated one, but for another order of sums."""
    outputs = []
    (lr,) = islice(run.batches.fixed(1), 1)
    for each in (student, load_state(state, run.teacher, run.method.make_quantizer)):
        seed_generators(run.spec.seed)
        with torch.no_grad():
            outputs.append(each(lr))
    calibrated, restored = outputs
    return bool((calibrated - restored).abs().mean() <= LOST * calibrated.abs().mean())
