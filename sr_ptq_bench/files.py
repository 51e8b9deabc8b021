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


def read_whole(path: Path, limit: int) -> bytes:
    """The content of a file of at most `limit` bytes; raises SrqError for a larger one, OSError as `open` does.

    The limit holds for what is read as well: a device or a file that grows has no size to trust.
    """
    with path.open("rb") as file:
        if path.stat().st_size > limit:
            raise too_large(path, limit)
        content = file.read(limit + 1)
    if len(content) > limit:
        raise too_large(path, limit)
    return content


def too_large(what: object, limit: int) -> SrqError:
    """The error of a file, or of a part of one, that says it is larger than anything of its kind."""
    size = f"{limit / 2**20:.0f} MiB" if limit >= 2**20 else f"{limit / 2**10:.0f} KiB"
    return SrqError(f"{what} is larger than {size}, the limit for such a file; remove or replace it")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, 64 hexadecimal digits; raises SrqError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SrqError(f"cannot read {path}: {error.strerror or error}") from error
