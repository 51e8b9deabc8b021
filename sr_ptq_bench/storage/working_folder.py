"""Folders for work in progress; if a process is killed, the next one removes its folder."""

from __future__ import annotations

import re
import secrets
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from .locks import try_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOCK = ".lock"
_LOCK_NAME = re.compile(r"\.srq-[0-9a-f]{16}\.lock")


@contextmanager
def working_folder(parent: Path) -> Iterator[Path]:
    """A new folder in `parent`, removed at the end; folders of dead processes are removed first.

    A process holds the lock of its folder as long as it lives. Raises OSError.
    """
    remove_abandoned(parent)
    folder = parent / f".srq-{secrets.token_hex(8)}"
    lock = folder.with_name(folder.name + _LOCK)
    with try_lock(lock):
        try:
            folder.mkdir()
            yield folder
        finally:
            _remove(folder, lock)


def remove_abandoned(parent: Path) -> None:
    """Remove working folders in `parent` that no living process holds; a folder without a lock is somebody else's."""
    for lock in [path for path in parent.glob(f".srq-*{_LOCK}") if _LOCK_NAME.fullmatch(path.name)]:
        with suppress(OSError), try_lock(lock) as held:
            if held:
                _remove(lock.with_name(lock.name.removesuffix(_LOCK)), lock)


def _remove(folder: Path, lock: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        lock.unlink()
