"""Downloads in small pieces that soon count as stalled."""

from __future__ import annotations

import pytest

from sr_ptq_bench.library import fetch
from sr_ptq_bench.library.fetch import Downloads


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """So that the few bytes of a test arrive in several pieces; only whole ones survive a cut."""
    monkeypatch.setattr(fetch, "_CHUNK", 512)


@pytest.fixture
def downloads(tmp_path):
    return Downloads(tmp_path / "downloads", stall=0.3)
