"""Options of a plugin: defaults, presets, and what is refused."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError
from refusals import error_of

from sr_ptq_bench import SrqError
from sr_ptq_bench.hooks.options import PluginOptions, option_values, recorded_values


class Numbers(PluginOptions):
    """Options with presets."""

    preset: Literal["slow", "fast"] = "slow"
    steps: int = Field(100, ge=1)
    joint: bool = False
    lr: float = Field(0.1, gt=0)

    @classmethod
    def presets(cls) -> dict[str, dict[str, Any]]:
        return {"slow": {"steps": 100}, "fast": {"steps": 10}}


def test_options_have_defaults_and_read_text():
    assert Numbers.parse({}) == Numbers(preset="slow", steps=100, lr=0.1)
    assert Numbers.parse({"lr": "1e-3", "steps": "7", "joint": "true"}) == Numbers(steps=7, lr=1e-3, joint=True)


def test_single_options_win_over_the_preset():
    assert Numbers.parse({"preset": "fast"}).steps == 10
    assert Numbers.parse({"steps": "3", "preset": "fast"}).steps == 3


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"lrr": 1}, "no option 'lrr'; did you mean 'lr'?"),
        ({"preset": "fats"}, "no preset 'fats'; did you mean 'fast'?"),
        ({"steps": "many"}, "option steps: Input should be a valid integer"),
        ({"steps": "0"}, "option steps: Input should be greater than or equal to 1, got '0'"),
        ({"lr": "nan"}, "option lr: "),
        ({"steps": True}, "option steps: expected a number, got True"),
        ({"lr": False}, "option lr: "),
        ({"joint": 1}, "option joint: expected true or false, got 1"),
        ({"lr": "-1"}, "option lr: Input should be greater than 0, got '-1'"),
    ],
)
def test_wrong_options_are_named(values, expected):
    assert error_of(Numbers.parse, values).startswith(expected)


@given(st.dictionaries(st.sampled_from(["steps", "lr", "preset", "x"]), st.text() | st.floats() | st.integers()))
def test_any_values_are_options_or_an_error_of_srq(values):
    try:
        options = Numbers.parse(values)
    except SrqError:
        return
    assert options.steps >= 1
    assert options.lr > 0


def test_options_do_not_change():
    with pytest.raises(ValidationError):
        Numbers().lr = 1.0


def test_the_values_of_options_are_by_key():
    assert option_values(Numbers(steps=3)) == {"preset": "slow", "steps": 3, "joint": False, "lr": 0.1}
    assert option_values(None) == {}


class Grown(Numbers):
    """Numbers of a later version: `new` is in no record at its default."""

    later = ("new",)
    new: int = 1

    @classmethod
    def presets(cls) -> dict[str, dict[str, Any]]:
        return {"slow": {}, "fast": {"new": 2}}


@pytest.mark.parametrize(
    ("given", "recorded"),
    [({}, None), ({"new": "1"}, None), ({"new": "3"}, 3), ({"preset": "fast"}, 2), ({"preset": "fast", "new": "1"}, 1)],
)
def test_a_later_option_is_left_out_where_a_reader_takes_the_default_for_it(given, recorded):
    assert recorded_values(Grown.parse(given)).get("new") == recorded
