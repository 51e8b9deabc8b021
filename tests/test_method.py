"""What a plugin returns is checked, and an error names the plugin and the site."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny import plugin, plugins, run

from sr_ptq_bench import Bounds, Distribution, SrqError
from sr_ptq_bench.method import blamed_on, checked_figures
from sr_ptq_bench.quantizer import Site

NAN, INF = math.nan, math.inf
TENSOR = torch.tensor([[-1.0, 2.0], [0.5, 3.0], [-4.0, 1.0]])
PER_TENSOR = Distribution.of_tensor(TENSOR)
PER_CHANNEL = Distribution.of_tensor(TENSOR, channel_axis=0)
SITE = Site("fc1.weight", "weight", "parameter", 0)


def error_of(function, *arguments, **named) -> str:
    with pytest.raises(SrqError) as caught:
        function(*arguments, **named)
    return str(caught.value)


def method_that_returns(bounds):
    return plugins(plugin("mine", init_bounds=lambda: bounds)).method("mine", {})


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        (Bounds(NAN, 1.0), "bounds are not finite"),
        (Bounds(0.0, NAN), "bounds are not finite"),
        (Bounds(-INF, INF), "bounds are not finite"),
        (Bounds(0.0, 1e300), "bounds are not finite"),
        (Bounds(1.0, 0.5), "a lower bound is above its upper bound"),
        (Bounds(torch.tensor([0.0, 2.0, 0.0]), torch.ones(3)), "a lower bound is above its upper bound"),
        (Bounds(torch.zeros(3), 1.0), "bounds of shapes (3,) and (); expected () or (C,), both the same"),
        (Bounds(torch.zeros(1, 3), torch.ones(1, 3)), "bounds of shapes (1, 3) and (1, 3); expected () or (C,), "),
        (Bounds(torch.zeros(4), torch.ones(4)), "4 pairs of bounds; expected one pair, or one for each of 3 channels"),
        (Bounds(torch.zeros(1), torch.ones(1)), "1 pairs of bounds; expected one pair, or one for each of 3 channels"),
        ((0.0, 1.0), "expected Bounds, got a tuple"),
        (0.5, "expected Bounds, got a float"),
    ],
)
def test_bad_bounds_name_the_plugin_and_the_site(bounds, expected):
    message = error_of(method_that_returns(bounds).init_bounds, SITE, PER_CHANNEL, 4)
    assert message.startswith(f"plugin 'mine', site fc1.weight: {expected}")


def test_bounds_per_channel_of_a_site_without_channels_are_refused():
    bounds = Bounds(torch.zeros(3), torch.ones(3))
    assert error_of(method_that_returns(bounds).init_bounds, SITE, PER_TENSOR, 4) == (
        "plugin 'mine', site fc1.weight: 3 pairs of bounds; expected one pair: it has no channels"
    )


def test_no_bounds_at_all_name_the_method_and_the_site():
    assert error_of(method_that_returns(None).init_bounds, SITE, PER_TENSOR, 4) == (
        "method 'mine' gives no bounds for site fc1.weight"
    )


@pytest.mark.parametrize(
    "bounds",
    [
        Bounds(0.0, 1.0),
        Bounds(0, 1),
        Bounds(0.5, 0.5),
        Bounds(np.float64(0), np.float32(1)),
        Bounds(torch.tensor(0.0), torch.tensor(1.0, dtype=torch.float64)),
        Bounds(torch.zeros(3), torch.ones(3)),
    ],
)
def test_good_bounds_are_handed_on_as_they_are(bounds):
    assert method_that_returns(bounds).init_bounds(SITE, PER_CHANNEL, 4) is bounds


def test_bounds_that_a_calibrator_leaves_are_checked(tiny_suite):
    def calibrate(student):
        student.quantizers["query"].lower.data.fill_(NAN)

    assert error_of(run, tiny_suite, plugin("mine", calibrate=calibrate), method="minmax+mine") == (
        "plugin 'mine', site query: bounds are not finite"
    )


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ({"loss": NAN}, "figure 'loss' is nan; expected finite numbers"),
        ({"loss": INF}, "figure 'loss' is inf; expected finite numbers"),
        ({"losses": [1.0, -INF]}, "figure 'losses' is -inf; expected finite numbers"),
        ({"loss": np.float64("nan")}, "figure 'loss' is nan; expected finite numbers"),
        ({"loss": torch.tensor(1.0)}, "figure 'loss' holds a Tensor; expected a number, text or a list of numbers"),
        ({"losses": [torch.tensor(1.0)]}, "figure 'losses' holds a Tensor; expected a number, text or a list"),
        ({"losses": ["a"]}, "figure 'losses' holds a str; expected a number, text or a list of numbers"),
        ({"loss": None}, "figure 'loss' holds a NoneType; expected a number, text or a list of numbers"),
        ({"loss": {"a": 1.0}}, "figure 'loss' holds a dict; expected a number, text or a list of numbers"),
    ],
)
def test_bad_figures_name_the_plugin_and_the_figure(tiny_suite, figures, expected):
    message = error_of(run, tiny_suite, plugin("mine", calibrate=lambda: figures), method="minmax+mine")
    assert message.startswith(f"plugin 'mine': {expected}")


def test_figures_are_a_dict():
    assert error_of(checked_figures, "mine", [1.0]) == "plugin 'mine' returns figures as a list; expected a dict"


def test_good_figures_are_handed_on_as_they_are():
    figures = {"a": 1, "b": 0.5, "c": "text", "d": True, "e": [1.0, 2], "f": (1.0,), "g": []}
    assert checked_figures("mine", figures) is figures


def test_a_figure_that_no_record_can_hold_is_refused_without_a_traceback(tiny_suite):
    mine = plugin("mine", calibrate=lambda: {"file": "/tmp/checkpoint"})
    message = error_of(run, tiny_suite, mine, method="minmax+mine")
    assert message.startswith("a record cannot hold this run: figures.file: a record holds no absolute paths")


def test_the_host_s_own_errors_are_not_lost():
    with pytest.raises(KeyError), blamed_on("mine", "query"):
        raise KeyError("x")


def test_an_error_of_a_plugin_keeps_its_traceback(tiny_suite):
    def calibrate(student):
        raise ZeroDivisionError("in the plugin")

    with pytest.raises(ZeroDivisionError, match="in the plugin"):
        run(tiny_suite, plugin("mine", calibrate=calibrate), method="minmax+mine")


def test_whether_a_method_rewrites_weights():
    found = plugins(plugin("rewrite", transform_model=lambda student: None))
    assert found.method("rewrite+minmax", {}).transforms()
    assert not found.method("minmax", {}).transforms()


def test_every_transformer_is_called_in_order():
    called = []
    some = [plugin(name, transform_model=lambda student, name=name: called.append(name)) for name in "ba"]
    plugins(*some).method("b+a+minmax", {}).transform(SimpleNamespace(), SimpleNamespace())
    assert called == ["b", "a"]
