"""Whether results can be written, asked before any work."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

from ..errors import SrqError

if TYPE_CHECKING:
    from pathlib import Path


def check_writable(out: Path) -> None:
    """Raise SrqError now, and not after minutes of work, if nothing can be written to `out`."""
    folder = out.absolute()
    try:
        while not folder.exists():
            if folder.is_symlink():
                raise SrqError(f"cannot write to {out}: {folder} is a link to nothing; choose another --out")
            folder = folder.parent
    except OSError as error:
        raise SrqError(f"cannot write to {out}: {error.strerror}; choose another --out") from error
    if not folder.is_dir():
        raise SrqError(f"cannot write to {out}: {folder} is not a folder; choose another --out")
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise SrqError(f"cannot write to {out}: {error.strerror} in {folder}; choose another --out") from error
