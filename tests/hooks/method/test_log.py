"""The log of a calibrator is checked."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from refusals import error_of
from tiny import plugin, run

from sr_ptq_bench.hooks.checks import checked_log

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ({1: 2.0}, "log entry '1': Input should be a valid string"),
        ({"file": "/tmp/x"}, "log entry 'file': a record holds no absolute paths"),
        ({"a": "\ud800"}, "log entry 'a': 'utf-8' codec can't encode"),
        ({"a": 10**5000}, "log entry 'a': Exceeds the limit"),
        ({"losses": [0.1] * 10**6}, "log entry 'losses' takes 5000012 bytes; a record holds 4194304"),
        ({"loss": NAN}, "log entry 'loss' is nan; expected finite numbers"),
        ({"loss": INF}, "log entry 'loss' is inf; expected finite numbers"),
        ({"losses": [1.0, -INF]}, "log entry 'losses' is -inf; expected finite numbers"),
        ({"loss": np.float64("nan")}, "log entry 'loss' is nan; expected finite numbers"),
        ({"loss": torch.tensor(1.0)}, "log entry 'loss' holds a Tensor; expected a number, text or a list of numbers"),
        ({"losses": [torch.tensor(1.0)]}, "log entry 'losses' holds a Tensor; expected a number, text or a list"),
        ({"losses": ["a"]}, "log entry 'losses' holds a str; expected a number, text or a list of numbers"),
        ({"loss": None}, "log entry 'loss' holds a NoneType; expected a number, text or a list of numbers"),
        ({"loss": {"a": 1.0}}, "log entry 'loss' holds a dict; expected a number, text or a list of numbers"),
    ],
)
def test_a_bad_log_names_the_plugin_and_the_entry(figures, expected):
    assert error_of(checked_log, "mine", figures).startswith(f"plugin 'mine': {expected}")


def test_the_log_of_a_calibrator_is_checked(tiny_suite):
    mine = plugin("mine", calibrate=lambda: {"loss": NAN})
    assert error_of(run, tiny_suite, mine, method="minmax+mine") == (
        "plugin 'mine': log entry 'loss' is nan; expected finite numbers"
    )


def test_a_log_is_a_dict():
    assert error_of(checked_log, "mine", [1.0]) == "plugin 'mine' returns its log as a list; expected a dict"


def test_a_good_log_is_handed_on_as_it_is():
    figures = {"a": 1, "b": 0.5, "c": "text", "d": True, "e": [1.0, 2], "f": (1.0,), "g": []}
    assert checked_log("mine", figures) is figures
