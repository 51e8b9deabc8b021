"""Files that are either whole or not there, their checksums, and what becomes of damaged ones."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from ..errors import SrqError

if TYPE_CHECKING:
    from pathlib import Path

    from ..progress import Say

ABANDONED = 3600.0
"""Seconds after which a temporary file cannot be of a process that is still writing it."""
SEALED = 8 * 2**30
"""Bytes of the largest sealed file that is read."""
_DIGITS = 64


def write_atomically(path: Path, data: bytes | str) -> None:
    """Write a file at once, so that a reader sees the old content or the new one and never a part.

    Text is written as UTF-8 and folders are made as needed; raises SrqError if the system refuses.
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
    _remove_abandoned(path.parent)


def _remove_abandoned(folder: Path) -> None:
    """Remove what processes that were killed while writing have left."""
    for temporary in folder.glob(".srq-*.tmp"):
        with suppress(OSError):
            if time.time() - temporary.stat().st_mtime > ABANDONED:
                temporary.unlink()


def write_sealed(path: Path, data: bytes) -> None:
    """Write a file that ends with the SHA-256 of what is before; raises SrqError if the system refuses."""
    write_atomically(path, data + hashlib.sha256(data).hexdigest().encode())


def read_sealed(path: Path, say: Say) -> bytes | None:
    """The content of a sealed file; None if there is none, or none that is whole, which is then set aside."""
    try:
        content = path.read_bytes() if path.stat().st_size <= SEALED else b""
    except (FileNotFoundError, NotADirectoryError):
        return None
    except IsADirectoryError:
        content = b""
    except OSError as error:
        say(f"cannot read {path}: {error.strerror or error}; going on without it")
        return None
    data, digits = content[:-_DIGITS], content[-_DIGITS:]
    if hashlib.sha256(data).hexdigest().encode() == digits:
        return data
    say(f"{path} is damaged; {set_aside(path)}")
    return None


def set_aside(path: Path) -> str:
    """Rename a damaged file, so that it is neither read again nor lost; what was done, to end a line with."""
    bad = path.with_name(f"{path.name}.bad")
    try:
        path.replace(bad)
    except OSError as error:
        return f"it cannot be renamed: {error.strerror or error}"
    return f"it is now {bad.name}"


def read_whole(path: Path, limit: int) -> bytes:
    """The content of a file of at most `limit` bytes; raises SrqError for a larger one, OSError as `open` does.

    The limit holds for what is read as well: a device or a file that grows has no size to trust.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise too_large(path, limit)
        content = file.read(size + 1)  # asking for the limit would claim its memory
        if len(content) > size:
            content += file.read(limit + 1 - len(content))
    if len(content) > limit:
        raise too_large(path, limit)
    return content


def too_large(what: object, limit: int) -> SrqError:
    """The error of a file, or of a part of one, that says it is larger than anything of its kind."""
    size = f"{limit / 2**20:.0f} MiB" if limit >= 2**20 else f"{limit / 2**10:.0f} KiB"
    return SrqError(f"{what} is larger than {size}, the limit for such a file; remove or replace it")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, 64 hexadecimal digits; raises SrqError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SrqError(f"cannot read {path}: {error.strerror or error}") from error
