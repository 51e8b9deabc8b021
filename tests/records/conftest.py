"""A whole record for each test."""

from __future__ import annotations

import pytest
from whole_record import content, parsed

from sr_ptq_bench.records.record import Record


@pytest.fixture
def record() -> Record:
    return parsed(content())
