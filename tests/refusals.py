"""What users are told when something is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sr_ptq_bench import SrqError


def error_of(function: Callable[..., Any], *arguments: Any, **named: Any) -> str:
    """The one line of the SrqError that a call raises."""
    with pytest.raises(SrqError) as caught:
        function(*arguments, **named)
    assert "\n" not in str(caught.value)
    return str(caught.value)
