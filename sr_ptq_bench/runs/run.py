"""One run: quantize, choose bounds, calibrate, score."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import partial
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any

import torch
from pydantic import ValidationError

from ..cache.resume import Calibrated
from ..data.patches import CountedBatches
from ..errors import SrqError, prefix_error
from ..evaluation.levels import counted_levels
from ..evaluation.score import interpolations, network_upscaler, score_datasets
from ..hooks.check_bits import check_mean_bits
from ..hooks.guard import settings_restored
from ..progress import TimedStages
from ..quantization.costs import LazyCosts, output_costs
from ..quantization.observe import observe
from ..quantization.quantize import quantize
from ..quantization.randomness import seed_generators
from ..quantization.state.network_tensors import changed_tensors, network_tensors, tensors_sha256
from ..quantization.state.save_load import KINDS, load_state, save_state, state_sha256
from ..quantization.student import cached_quantized_weights, quantizers_off
from ..quantization.training import STEPS, counted_steps
from ..records.complaint import complaint
from ..records.fields import SCHEMA_VERSION
from ..records.files import RunResult
from ..records.record import Learned, Record
from ..records.scores import References
from . import identity
from .count import count
from .environment import describe, peak_memory
from .scope import describe_scope

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from ..cache.resume import ResumeState, ScoreLog
    from ..cache.shared import Cache
    from ..data.patches import Batches
    from ..progress import Progress
    from ..quantization.costs import OutputCosts
    from ..quantization.distribution import Distribution
    from ..quantization.student import Student
    from ..records.record import MostLevels
    from ..records.scores import Scores
    from .prepare import PreparedRun
    from .session import Session

LOST = 1e-4
"""The mean difference of two outputs, relative to the outputs, that no order of sums explains."""
FP_SEED = 0
"""Seed of the FP network, if it draws random numbers: runs of all seeds share its scores."""


@settings_restored()  # a plugin's quantizers run here
def measure(run: PreparedRun, session: Session, fresh: bool = False) -> RunResult:
    """Do one run; the same spec on the same machine gives the same result apart from times and memory.

    A killed run continues from its last checkpoint, to the same result. The student that is scored is restored from
    the stored state. With `fresh` no result of earlier runs is used.
    """
    start = time.perf_counter()
    stage = TimedStages(session.reporter)
    references = score_references(run, session.cache, stage, fresh)
    with session.cache.resume_state(identity.calibrated_state(run), fresh) as resume:
        earlier = resume.calibrated()
        calibrated = earlier or calibrate_student(run, session.cache, stage, resume, fresh)
    with prefix_error(f"method '{run.spec.method}'"):
        student = load_state(calibrated.state, run.teacher, run.method.make_quantizer)
    with stage("evaluate") as progress:
        log = resume.scores(calibrated.state, identity.student_scores(run))
        scores, most_levels = score_student(run, student, progress, log)
    seconds_before = calibrated.seconds if earlier else resume.checkpoint.seconds_before
    record = _record(
        schema_version=SCHEMA_VERSION,
        spec=run.resolved,
        scope=describe_scope(student),
        site_bits=site_bits(run, student),
        most_levels=most_levels,
        learned=calibrated.learned,
        complexity=count(student),
        scores=scores,
        not_scored=run.not_scored,
        calibrated_on=run.calibrated_on,
        calibration_images=run.calibration_images,
        references=references,
        figures={key: tuple(v) if isinstance(v, list) else v for key, v in calibrated.log.items()},
        environment=describe(run.method, str(student.device), run.teacher.libraries),
        hashes=run.hashes,
        code=identity.code(run),
        state_sha256=state_sha256(calibrated.state),
        timings=stage.seconds
        | {"calibrate": calibrated.seconds, "total": time.perf_counter() - start + seconds_before},
        peak_memory_bytes=peak_memory(),
        created=datetime.now(UTC).replace(microsecond=0),
    )
    resume.finish()
    return RunResult(record, calibrated.state)


def score_references(run: PreparedRun, cache: Cache, stage: TimedStages, fresh: bool) -> References:
    """The scores of the FP network and of two interpolations on the test sets, computed once for all runs."""
    scores: dict[str, Scores] = {}
    upscalers = {"fp": network_upscaler(run.teacher, run.tiles, FP_SEED), **interpolations(run.spec.scale)}
    for name, upscaler in upscalers.items():
        key = identity.fp_scores(run) if name == "fp" else identity.interpolation_scores(run, name)
        with stage(f"score {name}") as progress:
            compute = partial(score_datasets, upscaler, run.tests, run.spec.scale, run.plugins, progress)
            scores[name] = cache.scores(key, compute, fresh)
    return References(**scores)


@settings_restored()  # a plugin's quantizers run here
def calibrate_student(
    run: PreparedRun, cache: Cache, stage: TimedStages, resume: ResumeState, fresh: bool
) -> Calibrated:
    """Quantize the network and let the method choose bounds and train; the state is kept for a killed run."""
    seed_generators(run.spec.seed)
    counts = resume.checkpoint.counts
    patches = run.batches
    batches = CountedBatches(patches.patches, patches.images, patches.seed, patches.device, counts)
    with counted_steps(counts):
        student, chosen_bits = build_student(run, stage, batches)
        teacher = cache.teacher(identity.teacher_outputs(run), run.teacher, fresh)
        steps = [0, counts[STEPS]]
        tensors = [tensors_sha256(run.teacher.network.state_dict()), tensors_sha256(dict(network_tensors(student)))]
        seen = observe_distributions(run, student, cache, stage, fresh)
        costs = LazyCosts(seen, partial(observe_costs, run, student, seen, cache, fresh))
        with stage("bounds") as progress:
            for done, (name, quantizer) in enumerate(student.quantizers.items()):
                progress(done, len(student.quantizers))
                run.method.initialize(quantizer, seen[name], partial(costs.of, name))
        seed_generators(run.spec.seed)
        with stage("calibrate") as progress:
            log = run.method.calibrate(student, teacher, batches, progress, resume.checkpoint)
    with prefix_error(f"method '{run.spec.method}'"):
        check_mean_bits(student, run.spec.bits, chosen_bits)
    if teacher.is_changed():
        plugin = run.method.calibrator
        raise SrqError(f"plugin '{plugin}' changes the full-precision network; a method changes the student")
    steps.append(counts[STEPS])
    tensors.append(tensors_sha256(dict(network_tensors(student))))
    seconds = stage.seconds["calibrate"] + resume.checkpoint.seconds_before
    with prefix_error(f"method '{run.spec.method}'"):
        state = save_state(student, run.teacher)
    if not _is_restored(run, student, state):
        lost = "keeps something where no state has it: the student that is scored is not the calibrated one"
        stage.reporter.say(f"Method '{run.spec.method}' {lost} (docs/hooks.md, What is kept of a student).")
    calibrated = Calibrated(state, log, seconds, what_was_learned(tensors, steps, batches.drawn))
    resume.keep(calibrated)
    return calibrated


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


def what_was_learned(tensors: Sequence[str], steps: Sequence[int], patches: int) -> Learned:
    """The class of a method, from the hashes of the network's tensors and the steps so far, stage by stage."""
    changed = [one != other for one, other in pairwise(tensors)]
    trained = any(each and now > before for each, (before, now) in zip(changed, pairwise(steps), strict=True))
    weights: Any = "trained" if trained else "closed form" if tensors[-1] != tensors[0] else "kept"
    return Learned(weights=weights, steps=steps[-1], patches=patches)


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


def observe_distributions(
    run: PreparedRun, student: Student, cache: Cache, stage: TimedStages, fresh: bool
) -> dict[str, Distribution]:
    """The distribution of every site, by name.

    Shared by all methods and bit-widths, unless a method changed the network.
    """
    compute = partial(observe, student, run.batches.fixed)
    with stage("observe"):
        if _is_other_network(run, student):
            return compute()
        return cache.distributions(identity.distributions(run, student), compute, fresh)


def observe_costs(
    run: PreparedRun, student: Student, seen: Mapping[str, Distribution], cache: Cache, fresh: bool
) -> OutputCosts:
    """What errors at the sites cost at the output; shared as distributions are."""
    compute = partial(output_costs, student, run.batches.fixed, seen)
    if _is_other_network(run, student):
        return compute()
    return cache.output_costs(identity.output_costs(run, student), compute, fresh)


def _is_other_network(run: PreparedRun, student: Student) -> bool:
    """Whether a method may have changed what the network computes: its tensors, or modules that no tensor tells of."""
    return run.method.transforms or bool(changed_tensors(student, run.teacher))


@settings_restored()  # a plugin's quantizers run here
def score_student(
    run: PreparedRun, student: Student, progress: Progress, log: ScoreLog | None = None
) -> tuple[Scores, MostLevels | None]:
    """The scores of a student on the test sets of the run, and the most levels if they are not bounded by the bits.

    Scores in the log are not measured again, unless levels are counted that a kind of quantizer does not bound.
    Raises SrqError for a site with more levels than its bits allow, unless its quantizer announces them.
    """
    upscaler = network_upscaler(student.model, run.tiles, run.spec.seed)
    seed_generators(run.spec.seed)  # a quantizer of weights may draw random numbers
    if not all(type(quantizer) in KINDS.values() for quantizer in student.quantizers.values()):
        log = None
    with (
        cached_quantized_weights(student),
        prefix_error(f"method '{run.spec.method}'"),
        counted_levels(student) as levels,
    ):
        levels.check()  # of the weights

        def counted(lr: np.ndarray) -> np.ndarray:
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


def _record(**values: Any) -> Record:
    try:
        return Record(**values)
    except ValidationError as error:
        raise SrqError(f"a record cannot hold this run: {complaint(error, Record)}") from error
