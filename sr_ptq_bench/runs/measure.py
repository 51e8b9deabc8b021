"""The result of a run: this machine's earlier one, or a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..records.compare import write_or_reproduce
from ..records.files import make_room
from . import identity
from .environment import describe, describe_machine
from .run import measure

if TYPE_CHECKING:
    from pathlib import Path

    from ..progress import Say
    from ..records.files import RunResult
    from ..records.record import Record
    from .prepare import PreparedRun
    from .session import Session


def measure_or_reuse(run: PreparedRun, session: Session, force: bool = False) -> RunResult:
    """The result of a run: this machine's earlier one, or a new one, which is then remembered.

    Waits for another process that makes the same run.
    """
    with session.cache.locked(run.record_name, "makes the same run"):
        earlier = None if force else session.cache.result(run.record_name)
        if earlier and is_current(earlier.record, run, session.device):
            session.reporter.say("Measured already on this machine; --force measures again.")
            return earlier
        result = measure(run, session, fresh=force)
        session.cache.keep(result)
        return result


def deliver(
    run: PreparedRun, session: Session, folder: Path, force: bool = False, replace: bool = False
) -> tuple[Record, Path]:
    """The record of a run, and its path in `folder`, where the result now is.

    Another result of the same run that was there stays, unless it is to be replaced.
    """
    make_room(folder / run.record_name, session.reporter.say)
    tell(run, session.reporter.say)
    result = measure_or_reuse(run, session, force)
    return result.record, write_or_reproduce(result, folder, session.reporter.say, replace)


def tell(run: PreparedRun, say: Say) -> None:
    """What a user should know of a run before it starts."""
    if run.not_scored:
        say(f"Missing test sets are skipped: {', '.join(run.not_scored)}; see `srq data get`.")
    if run.calibrated_on:
        seen = ", ".join(f"{name}/{image}" for name, images in run.calibrated_on.items() for image in images)
        say(f"Test images that are calibration images too: {seen}; their scores are too good.")
    if run.teacher.unquantized_ops:
        say(f"Not quantized: {run.teacher.unquantized_ops}.")


def is_current(record: Record, run: PreparedRun, device: str | None) -> bool:
    """Whether the installed software made or verified the record on this device (None: on any device).

    Processor and threads may differ; the record names them.
    """
    if device is not None and record.environment.device != describe_machine(device)["device"]:
        return False
    return record.is_of(describe(run.method, "cpu", run.teacher.libraries).versions, identity.code(run))
