"""The one folder in which srq keeps what it computes and fetches."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path

from ..errors import SrqError

HOME = "SRQ_HOME"


def default_home() -> Path:
    """The folder that the environment variable SRQ_HOME names, else the platform's cache folder."""
    return expanded(os.environ.get(HOME) or user_cache_path("srq"))


def expanded(path: str | Path) -> Path:
    """The path with `~` and `~user` at its start replaced, as a shell does; `~` of an unknown user stays.

    Raises SrqError for a NUL character, which a suite's file may hold.
    """
    if "\0" in str(path):
        raise SrqError(f"no path: {path}; it holds a NUL character")
    return Path(os.path.expanduser(path))  # noqa: PTH111 - pathlib's own raises RuntimeError for an unknown user
