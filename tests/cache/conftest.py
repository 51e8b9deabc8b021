"""What the tests of the cache share."""

from __future__ import annotations

import pytest
from tiny import measured as measured_run
from tiny import prepare

from sr_ptq_bench.cache.shared import Cache


@pytest.fixture
def said() -> list[str]:
    """The words of the cache to the user."""
    return []


@pytest.fixture
def kept(tmp_path, said):
    return Cache(tmp_path, said.append)


@pytest.fixture
def measured(tiny_suite, tmp_path):
    return measured_run(prepare(tiny_suite.spec()), tmp_path / "elsewhere")
