"""What users are told when something is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sr_ptq_bench import SrqError
from sr_ptq_bench.errors import LONGEST


def one_line(error: BaseException | None) -> str:
    """The message of an SrqError, which is one line of printable characters and not too long."""
    assert isinstance(error, SrqError), error
    assert str(error).isprintable()
    assert 0 < len(str(error)) <= LONGEST
    return str(error)


def error_of(function: Callable[..., Any], *arguments: Any, **named: Any) -> str:
    """The one line of the SrqError that a call raises."""
    with pytest.raises(SrqError) as caught:
        function(*arguments, **named)
    return one_line(caught.value)
