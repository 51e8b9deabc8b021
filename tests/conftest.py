"""Fixtures for every test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def benchmark_data() -> Path:
    """The folder with Set5/HR, Set5/LR_bicubic/X2 and so on; the test is skipped where none is named."""
    folder = os.environ.get("SRQ_TEST_DATA")
    if not folder:
        pytest.skip("SRQ_TEST_DATA names no folder of benchmark images")
    return Path(folder)
