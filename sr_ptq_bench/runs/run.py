"""One run: quantize, choose bounds, calibrate, score."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ..errors import SrqError, prefix_error
from ..hooks.guard import settings_restored
from ..progress import TimedStages
from ..quantization.state.save_load import load_state, state_sha256
from ..records.complaint import complaint
from ..records.fields import SCHEMA_VERSION
from ..records.files import RunResult
from ..records.record import Record
from . import identity
from .count import count
from .environment import describe, peak_memory
from .scope import describe_scope
from .stages.calibration import calibrate_student
from .stages.references import score_references
from .stages.scoring import score_student, site_bits

if TYPE_CHECKING:
    from .prepare import PreparedRun
    from .session import Session


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


def _record(**values: Any) -> Record:
    try:
        return Record(**values)
    except ValidationError as error:
        raise SrqError(f"a record cannot hold this run: {complaint(error, Record)}") from error
