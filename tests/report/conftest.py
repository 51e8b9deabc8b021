"""One browser for the tests of a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from browser import running


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    """A headless Chromium."""
    with running() as made:
        yield made
