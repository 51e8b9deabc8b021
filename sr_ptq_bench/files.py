"""Files that are either whole or not there, and their checksums."""

from __future__ import annotations

import hashlib
import os
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from .errors import SrqError

if TYPE_CHECKING:
    from pathlib import Path


def write_atomically(path: Path, data: bytes | str) -> None:
    """Write a file at once, so that a reader sees the old content or the new one and never a part.

    Text is written as UTF-8 and folders are made as needed; raises SrqError where the system refuses.
    """
    content = data.encode() if isinstance(data, str) else data
    # Not `tempfile`: its files can be read by their owner only.
    temporary = path.parent / f".srq-{secrets.token_hex(8)}.tmp"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise SrqError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, 64 hexadecimal digits; raises SrqError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SrqError(f"cannot read {path}: {error.strerror or error}") from error
