"""Plain values as bytes: the same values come back, with their types."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sr_ptq_bench.quantization.state.plain import from_plain_bytes, plain_bytes

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inside: (
        st.lists(inside)
        | st.tuples(inside, inside)
        | st.dictionaries(st.text() | st.integers() | st.booleans(), inside)
    ),
)


@given(values=st.dictionaries(st.text(), PLAIN))
def test_values_come_back_with_their_types(values):
    back = from_plain_bytes(plain_bytes(values))
    assert back == values
    assert repr(back) == repr(values)


def test_what_is_not_plain_is_left_out():
    values = {"f": len, "inside": {"g": [print], "kept": (1,)}, "rate": torch.tensor(0.5), "many": torch.zeros(2)}
    assert from_plain_bytes(plain_bytes(values)) == {"inside": {"kept": (1,)}, "rate": 0.5}


@pytest.mark.parametrize("number", [math.inf, -math.inf, 0.1, -0.0, 5e-324])
def test_numbers_to_the_last_bit(number):
    (back,) = from_plain_bytes(plain_bytes({"x": number})).values()
    assert math.copysign(1, back) == math.copysign(1, number)
    assert back == number
