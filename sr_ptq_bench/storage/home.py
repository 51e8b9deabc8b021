"""The one folder in which srq keeps what it computes and fetches."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path

HOME = "SRQ_HOME"


def default_home() -> Path:
    """The folder that the environment variable SRQ_HOME names, or the platform's own for caches."""
    return Path(os.environ.get(HOME) or user_cache_path("srq"))
