"""Bounds of a method are checked."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from refusals import error_of
from tiny import plugin, plugins, run

from sr_ptq_bench import Bounds, Distribution
from sr_ptq_bench.hooks.resolve import resolve_method
from sr_ptq_bench.quantization.quantizer import Site

NAN, INF = math.nan, math.inf


TENSOR = torch.tensor([[-1.0, 2.0], [0.5, 3.0], [-4.0, 1.0]])


PER_TENSOR = Distribution.of_tensor(TENSOR)


PER_CHANNEL = Distribution.of_tensor(TENSOR, channel_axis=0)


SITE = Site("fc1.weight", "weight", "parameter", 0)


def method_that_returns(bounds):
    return resolve_method(plugins(plugin("mine", init_bounds=lambda: bounds)), "mine", {})


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
        (
            Bounds(torch.zeros(4), torch.ones(4)),
            "4 pairs of bounds; expected one pair of shape (), or one for each of 3 channels",
        ),
        (
            Bounds(torch.zeros(1), torch.ones(1)),
            "1 pairs of bounds; expected one pair of shape (), or one for each of 3 channels",
        ),
        (Bounds("a", 1.0), "bounds are no numbers: "),
        (Bounds(None, 1.0), "a bound is None; a site without channels has neither "),
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
        "plugin 'mine', site fc1.weight: 3 pairs of bounds; expected one pair of shape (): it has no channels"
    )


def test_no_bounds_at_all_name_the_method_and_the_site():
    assert error_of(method_that_returns(None).init_bounds, SITE, PER_TENSOR, 4) == (
        "plugin 'mine', site fc1.weight: srq_init_bounds returns None; "
        "expected Bounds(lower, upper) for every site; is a `return` missing?"
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
