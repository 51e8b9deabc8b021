"""File locks, which end with the process that holds them. The only module that imports filelock."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..progress import Say

PATIENCE = 1.0
"""Seconds of waiting that are not reported."""


@contextmanager
def locked(path: Path, what: str, say: Say) -> Iterator[None]:
    """Hold the lock `path`; if another process holds it, `say` so with `what` it does, and wait.

    The system frees the lock of a process that has died. Raises OSError if no lock can be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout:
        say(f"Waiting for another srq that {what}.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Hold the lock `path` if no other process does; gives whether it is held. Raises OSError."""
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
