"""What a plugin's metrics are called and may give."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from refusals import error_of
from tiny import plugin, plugins

IMAGE = np.zeros((4, 4, 3), np.uint8)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), "is nan; expected a number up to 1e+200, or inf"),
        (float("-inf"), "is -inf; expected a number up to 1e+200, or inf"),
        (1e301, "is 1e+301; expected a number up to 1e+200, or inf"),
        ("high", "is 'high'; expected a number"),
        (None, "is None; expected a number"),
        ([1.0, 2.0], "is [1.0, 2.0]; expected a number"),
    ],
)
def test_a_score_is_a_number(value, expected):
    found = plugins(plugin("mine", evaluate=lambda: {"score": value}))
    found.manager.unregister(name="metrics")
    del found.plugins["metrics"]
    assert error_of(found.evaluate, IMAGE, IMAGE, 2) == f"plugin 'mine': metric 'score' {expected}"


@pytest.mark.parametrize("name", ["", "/abs", "~x", "C:\\x", "a\nb", 3])
def test_a_metric_has_a_name_that_a_record_can_hold(name):
    found = plugins(plugin("mine", evaluate=lambda: {name: 1.0}))
    found.manager.unregister(name="metrics")
    del found.plugins["metrics"]
    said = f"plugin 'mine': a metric is called {name!r}; expected a printable name and no path"
    assert error_of(found.evaluate, IMAGE, IMAGE, 2) == said


@pytest.mark.parametrize("value", [1, 1.5, float("inf"), np.float32(1.5), torch.tensor(1.5), True])
def test_a_score_is_any_kind_of_number(value):
    found = plugins(plugin("mine", evaluate=lambda: {"score": value}))
    found.manager.unregister(name="metrics")
    del found.plugins["metrics"]
    assert found.evaluate(IMAGE, IMAGE, 2) == {"score": float(value)}
