"""What the tests of the cache share."""

from __future__ import annotations

import pytest


@pytest.fixture
def said() -> list[str]:
    """The words of the cache to the user."""
    return []
