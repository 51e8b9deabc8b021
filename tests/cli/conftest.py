"""A run of the tiny suite for what is bad in it."""

from __future__ import annotations

import pytest
from bench import Bench


@pytest.fixture
def bench(srq, tiny_suite, tmp_path):
    return Bench(srq, tiny_suite, tmp_path / "out")
