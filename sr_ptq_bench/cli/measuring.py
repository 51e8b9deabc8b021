"""What commands that measure share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from ..cache import Cache
    from ..preparation import Run
    from ..records import Measured
    from ..schema import Record
    from .display import Display


def recorded(prepared: Run, folder: Path, display: Display, cache: Cache, force: bool = False) -> tuple[Record, Path]:
    """The record of a run and where it now is in `folder`, measured unless this machine has done so.

    Another process that makes the same run is waited for.
    """
    from ..records import make_room

    make_room(folder / prepared.record_name, display.print)
    with cache.locked(prepared.record_name, "makes the same run"):
        made = _measured(prepared, display, cache, force)
        return made.record, made.write(folder, display.print)


def _measured(prepared: Run, display: Display, cache: Cache, force: bool) -> Measured:
    from ..bench import measure
    from ..environment import describe

    if prepared.not_scored:
        display.print(f"Not at hand, so not scored: {', '.join(prepared.not_scored)}; see `srq data get`.")
    if prepared.model.not_covered:
        display.print(f"Not quantized: {prepared.model.not_covered}.")
    known = None if force else cache.measured(prepared.record_name)
    if known and known.record.environment == describe(
        prepared.method, str(prepared.model.device), prepared.model.libraries
    ):
        display.print("Measured already on this machine; --force measures again.")
        return known
    with display.stages() as show:
        made = measure(prepared, cache, show)
    cache.keep(made)
    return made


def check_writable(out: Path) -> None:
    """Say now, and not after minutes of work, that nothing can be written."""
    from ..errors import SrqError

    folder = out.absolute()
    try:
        while not folder.exists():
            folder = folder.parent
    except OSError as error:
        raise SrqError(f"cannot write to {out}: {error.strerror}; choose another --out") from error
    if not folder.is_dir():
        raise SrqError(f"cannot write to {out}: {folder} is not a folder; choose another --out")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SrqError(f"cannot write to {out}: no permission in {folder}; choose another --out")
