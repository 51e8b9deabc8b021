"""Files that are whole or absent, their checksums, and the renaming of damaged files."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from ..errors import SrqError

if TYPE_CHECKING:
    from pathlib import Path

    from ..progress import Say

ABANDONED = 3600.0
"""Age in seconds after which no process can still be writing a temporary file."""
SEALED = 8 * 2**30
"""Bytes of the largest sealed file that is read."""
_DIGITS = 64
_TEMPORARY = re.compile(r"\.srq-[0-9a-f]{16}\.tmp")


def write_atomically(path: Path, data: bytes | str) -> None:
    """Write a file at once: a reader sees the old content or the new content, never a part.

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
    """Remove files that processes left when they were killed while writing."""
    for temporary in folder.glob(".srq-*.tmp"):
        with suppress(OSError):
            if _TEMPORARY.fullmatch(temporary.name) and time.time() - temporary.stat().st_mtime > ABANDONED:
                temporary.unlink()


def write_sealed(path: Path, data: bytes) -> None:
    """Write a file that ends with the SHA-256 of its content; raises SrqError if the system refuses."""
    write_atomically(path, data + hashlib.sha256(data).hexdigest().encode())


def read_sealed(path: Path, say: Say) -> bytes | None:
    """The content of a sealed file; None if it is missing or damaged; a damaged file is set aside."""
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
    """Rename a damaged file, so that it is neither read again nor lost; returns the end of a message about it."""
    bad = path.with_name(f"{path.name}.bad")
    try:
        path.replace(bad)
    except OSError as error:
        return f"it cannot be renamed: {error.strerror or error}"
    return f"it is now {bad.name}"


def entries(folder: Path) -> list[Path]:
    """What is in a folder by name, without hidden files; nothing if there is no such folder.

    Raises SrqError if it cannot be read; `glob` would give nothing.
    """
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise SrqError(f"cannot read {folder}: {error.strerror or error}") from error


def read_whole(path: Path, limit: int) -> bytes:
    """The content of a file of at most `limit` bytes; raises SrqError for a larger one, OSError as `open` does.

    The limit holds also while reading: the size of a device or of a growing file is not known.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise too_large(path, limit)
        content = file.read(size + 1)  # reading `limit` bytes would allocate all of them
        if len(content) > size:
            content += file.read(limit + 1 - len(content))
    if len(content) > limit:
        raise too_large(path, limit)
    return content


def too_large(what: object, limit: int) -> SrqError:
    """The error for a file, or a part of a file, that is larger than its limit."""
    size = f"{limit / 2**20:.0f} MiB" if limit >= 2**20 else f"{limit / 2**10:.0f} KiB"
    return SrqError(f"{what} is larger than {size}, the limit for such a file; remove or replace it")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, 64 hexadecimal digits; raises SrqError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SrqError(f"cannot read {path}: {error.strerror or error}") from error
