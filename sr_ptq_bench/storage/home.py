"""The one folder in which srq keeps what it computes and fetches."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path

HOME = "SRQ_HOME"


def default_home() -> Path:
    """The folder that the environment variable SRQ_HOME names, else the platform's cache folder."""
    return expanded(os.environ.get(HOME) or user_cache_path("srq"))


def expanded(path: str | Path) -> Path:
    """The path with `~` and `~user` at its start replaced, as a shell does; `~` of an unknown user stays."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - pathlib's own raises RuntimeError for an unknown user
