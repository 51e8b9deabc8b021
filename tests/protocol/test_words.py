"""Bit-widths, scales and options: words that are none are refused in one line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import error_of

from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.protocol.bits import Bits
from sr_ptq_bench.protocol.run_spec import parse_options
from sr_ptq_bench.protocol.types import parse_scale


@pytest.mark.parametrize(
    ("text", "weight", "activation"),
    [("4", 4, 4), ("w4a8", 4, 8), ("W4A8", 4, 8), ("4a8", 4, 8), (" 2 ", 2, 2), ("8", 8, 8), ("04", 4, 4)],
)
def test_bits_are_one_number_or_two(text, weight, activation):
    assert Bits.parse(text) == Bits(weight=weight, activation=activation)


@pytest.mark.parametrize(
    "text", ["", "four", "w4", "a4", "4.0", "-4", "w4a", "a8w4", "w4a8 x", "4/4", "9" * 5000, "w4a" + "9" * 5000]
)
def test_what_is_no_bit_width_is_refused(text):
    message = error_of(Bits.parse, text)
    assert message == str(SrqError(f"no bit-width '{text}'; expected a number such as 4, or w4a8"))
    assert message.endswith("expected a number such as 4, or w4a8")


@pytest.mark.parametrize("text", ["0", "1", "9", "32", "w1a4", "w4a9", "w16a16", "999999999"])
def test_bits_are_2_to_8(text):
    assert error_of(Bits.parse, text) == f"bits '{text}' are out of range; expected 2 to 8"


@given(st.text() | st.from_regex(r"[wW]?\d+[aA]?\d*"))
def test_any_text_is_bits_or_an_error_of_srq(text):
    try:
        bits = Bits.parse(text)
    except SrqError:
        return
    assert Bits.parse(str(bits)) == bits
    assert {bits.weight, bits.activation} <= set(range(2, 9))


def test_bits_of_a_role():
    bits = Bits.parse("w3a5")
    assert (bits.of("weight"), bits.of("activation"), str(bits)) == (3, 5, "w3a5")


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_scales(scale):
    assert parse_scale(scale) == scale


@given(st.integers().filter(lambda n: n not in (2, 3, 4)))
def test_scales_are_2_to_4(scale):
    assert error_of(parse_scale, scale) == f"scale {scale} is out of range; expected 2, 3 or 4"


def test_options_are_split_at_the_first_equals_sign():
    assert parse_options(("a=1", "dqc.lr = 1e-3", "path=x=y", "empty=")) == {
        "a": "1", "dqc.lr": "1e-3", "path": "x=y", "empty": "",
    }  # fmt: skip


@pytest.mark.parametrize("pair", ["lr", "=1", " =1", ""])
def test_options_have_a_key_and_a_value(pair):
    assert error_of(parse_options, (pair,)) == f"option '{pair}' is not of the form key=value"


def test_an_option_is_given_once():
    assert error_of(parse_options, ("lr=1", "p=2", "lr=3")) == "option 'lr' is given twice"


@given(st.text())
def test_any_option_text_is_split_or_an_error_of_srq(text):
    try:
        ((key, value),) = parse_options((text,)).items()
    except SrqError:
        return
    assert key
    assert f"{key}={value}" in "=".join(part.strip() for part in text.split("=", 1))
