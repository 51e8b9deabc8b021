"""Whether the state of a record gives the scores of the record."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import torch

from ..errors import SrqError
from ..hooks.guard import settings_restored
from ..progress import TimedStages
from ..quantization.state.network_tensors import changed_tensors
from ..records.compare import compare, other_images
from ..records.record import Stamp
from . import identity
from .count import count
from .environment import describe, describe_machine, library_versions
from .restore import restore_student
from .scope import describe_scope
from .stages.references import score_references
from .stages.scoring import score_student, site_bits

if TYPE_CHECKING:
    from ..quantization.student import Student
    from ..records.compare import Comparison
    from ..records.files import RunResult
    from ..records.record import MostLevels, Record
    from ..records.scores import Scores
    from .prepare import PreparedRun
    from .session import Session

LEVELS_ELSEWHERE = 2
"""Times the recorded levels that a site may have on another processor, which rounds some values to another level."""
OF_SCOPE = ("short", "description", "sites", "quantized_weights", "parameters")


@settings_restored()  # the number of threads
def verify(run: PreparedRun, result: RunResult, session: Session) -> list[Comparison]:
    """Score the student of a result again, and compare the mean scores with those of the record.

    On a CPU as many threads as the record had decide the order of sums, where this machine has so many processors.

    Raises SrqError for a state with other bits at a site than the record says, or with more levels than its bits allow,
    unless record and quantizer say so; and for a record in which anything else is wrong that the state, the network
    and the images tell: counts, the class of the method, scores of single images and of the references.
    """
    record = result.record
    torch.set_num_threads(min(record.environment.threads, os.cpu_count() or 1))
    student = restore_student(run, result)
    check_bits(record, student)
    check_counts(run, record, student)
    references = score_references(run, session.cache, TimedStages(session.reporter), fresh=False)
    with session.reporter.stage("evaluate") as progress:
        scores, most_levels = score_student(run, student, progress)
    check_levels(student, record.most_levels, most_levels)
    explained = None if is_same_machine(record, session.device) else references.fp
    comparisons = compare(record.scores, scores, explained)
    if not all(comparison.holds for comparison in comparisons):
        return comparisons
    check_images("", record.scores, scores, explained)
    for name, of in record.references:
        again = getattr(references, name)
        for mean in compare(of, again):
            if not mean.prints_alike:
                said = f"{mean.metric.upper()} {mean.recorded:.6g} in the record, {mean.again:.6g} again"
                raise SrqError(f"a score differs: {name} on {mean.dataset}: {said}")
        check_images(f"{name} on ", of, again)
    return comparisons


def is_same_machine(record: Record, device: str) -> bool:
    """Whether sums have the order here that they had for the record, as far as it says: then so have all digits.

    A processor's name without a number tells nothing: virtual machines call many kinds `AMD EPYC`.
    """
    there, here = record.environment, describe_machine(device)
    same_torch = there.versions.get("torch") == library_versions()["torch"]
    is_kind = any(map(str.isdigit, here["cpu"]))
    return same_torch and is_kind and all(getattr(there, name) == value for name, value in here.items())


def check_images(of: str, recorded: Scores, again: Scores, fp: Scores | None = None) -> None:
    """Raise SrqError, which begins with what the scores are `of`, if that of a single image differs."""
    if odd := next(other_images(recorded, again, fp), None):
        raise SrqError(f"a score differs: {of}{odd}")


def check_counts(run: PreparedRun, record: Record, student: Student) -> None:
    """Raise SrqError if the record counts otherwise than its state does, or says another class of method."""
    scope, here = record.scope, describe_scope(student)
    counted = {
        "site_bits": (record.site_bits, site_bits(run, student)),
        "complexity": (record.complexity, count(student)),
        "not_scored": (record.not_scored, run.not_scored),
        "calibrated_on": (record.calibrated_on, run.calibrated_on),
        "calibration_images": (record.calibration_images or run.calibration_images, run.calibration_images),
        **{f"scope.{name}": (getattr(scope, name), getattr(here, name)) for name in OF_SCOPE},
    }
    for name, (said, found) in counted.items():
        if said != found:
            raise SrqError(f"the record has another {name} than its state and images")
    changed = bool(changed_tensors(student, run.teacher))
    learned = record.known_learned
    if learned is None and changed:
        raise SrqError("the state changes weights, biases or norms; the record does not say so")
    if learned and (learned.weights != "kept") != changed:
        found_class = "changes weights, biases or norms" if changed else "changes bounds alone"
        raise SrqError(f"the state {found_class}; the record says otherwise")


def check_levels(student: Student, said: MostLevels | None, found: MostLevels | None) -> None:
    """Raise SrqError if the record says otherwise which site has more levels than its bits allow, and how many."""
    if found and not said:
        counted = f"{found.levels} levels at {found.bits} bits"
        raise SrqError(f"site {found.site} has {counted}; the record does not say that levels are not bounded")
    if said and not found:
        raise SrqError("the record says that levels are not bounded; every site has 2^bits at most")
    if not (said and found):
        return
    at = student.quantizers.get(said.site)
    if at is None or at.bits != said.bits or found.levels > LEVELS_ELSEWHERE * said.levels:
        recorded = f"{said.levels} at {said.bits} bits, {said.site}"
        raise SrqError(f"site {found.site} has {found.levels} levels at {found.bits} bits; the record says {recorded}")


def check_bits(record: Record, student: Student) -> None:
    """Raise SrqError for the first site whose bits, and so whose number of levels, are not those of the record."""
    for name, quantizer in student.quantizers.items():
        said = record.site_bits.get(name, record.spec.bits.of(quantizer.site.role))
        if quantizer.bits != said:
            raise SrqError(f"site {name} has {quantizer.bits} bits in the state and {said} in the record")


def stamped(run: PreparedRun, record: Record) -> Record:
    """The record with a stamp: the code and the versions that have just given the same scores."""
    versions = describe(run.method, "cpu", run.teacher.libraries).versions
    now = datetime.now(UTC).replace(microsecond=0)
    return record.model_copy(update={"stamp": Stamp(code=identity.code(run), versions=versions, created=now)})
