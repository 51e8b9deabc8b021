"""Misspelt names are answered with the nearest one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sr_ptq_bench.errors import LONGEST, SrqError, unknown


@pytest.mark.parametrize(
    ("name", "allowed", "expected"),
    [
        ("minmx", ["minmax", "dobi"], "no method 'minmx'; did you mean 'minmax'?"),
        ("2dqant", ["dobi", "dqc", "2dquant"], "no method '2dqant'; did you mean '2dquant'?"),
        ("DOBI", ["minmax", "dobi"], "no method 'DOBI'; did you mean 'dobi'?"),
        ("k", ["K", "tie"], "no method 'k'; did you mean 'K'?"),
        ("zzz", ["minmax", "dobi"], "no method 'zzz'; there is: dobi, minmax"),
        ("minmax", [], "no method 'minmax'; there is: none"),
        ("", ["minmax"], "no method ''; there is: minmax"),
    ],
)
def test_the_nearest_name_or_all_of_them(name, allowed, expected):
    assert str(unknown("method", name, allowed)) == expected


def test_any_iterable_of_names_will_do():
    assert str(unknown("option", "l", iter({"lr": 0.1}))) == "no option 'l'; did you mean 'lr'?"


@given(st.text(), st.lists(st.text(), max_size=5))
def test_anything_is_answered(name, allowed):
    error = unknown("method", name, allowed)
    assert isinstance(error, SrqError)
    assert str(error).startswith("no method '")


@given(st.text(max_size=50), st.integers(1, 100))
def test_an_error_is_one_printable_line_of_bounded_length(text, times):
    error = str(SrqError(f"start {text * times} end"))
    assert error.isprintable()
    assert len(error) <= LONGEST
    assert error.startswith("start")
    assert error.endswith("end")
    assert str(SrqError(error)) == error


def test_a_long_error_keeps_its_beginning_and_its_end():
    text = f"record {'x' * 5000}: expected a number"
    assert str(SrqError(text)).startswith("record xxx")
    assert str(SrqError(text)).endswith("xxx: expected a number")
