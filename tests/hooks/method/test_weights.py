"""Weights, networks and scores of a plugin are checked."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from refusals import error_of
from tiny import plugin, run

NAN, INF = math.nan, math.inf


def test_weights_that_a_transformation_ruins_name_the_plugin(tiny_suite):
    def to_nan(student):
        student.weights["fc1.weight"].data.fill_(NAN)

    def to_shape(student):
        student.weights["fc1.weight"].data = torch.zeros(2, 2)

    def to_half(student):
        student.network.half()

    expected = {
        to_nan: "has values that are not finite",
        to_shape: "is (2, 2) torch.float32 now; expected (8, 4) torch.float32",
        to_half: "is (8, 4) torch.float16 now; expected (8, 4) torch.float32",
    }
    for function, end in expected.items():
        message = error_of(run, tiny_suite, plugin("mine", transform_model=function), method="minmax+mine")
        assert message.startswith("plugin 'mine': ")
        assert message.endswith(end)


def test_weights_that_a_calibrator_ruins_name_the_plugin(tiny_suite):
    def calibrate(student):
        student.network.head.weight.data.fill_(INF)

    message = error_of(run, tiny_suite, plugin("mine", calibrate=calibrate), method="minmax+mine")
    assert message == "plugin 'mine': the network's head.weight has values that are not finite"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda _: SimpleNamespace(), "srq_load_model returns a SimpleNamespace; expected an SRModel"),
        (lambda model: replace(model, scale=3), "srq_load_model returns a model of scale 3; expected 2"),
        (
            lambda model: replace(model, size_multiple=0),
            "the model's size_multiple is 0; expected a number of pixels, 1 or more",
        ),
        (lambda model: replace(model, features=("x",)), "the model's features name 'x', which the network does not"),
        (
            lambda model: replace(
                model, network=torch.nn.Identity(), input_kinds={}, features=(), first_last_layers=()
            ),
            "the model's network has no parameters",
        ),
    ],
)
def test_a_model_that_cannot_be_names_the_plugin(tiny_suite, change, expected):
    def load_model(name, scale, weights):
        import tiny

        return change(tiny.srq_load_model("tiny", scale, weights)) if name == "odd" else None

    tiny_suite.change(model="odd")
    message = error_of(run, tiny_suite, plugin("mine", load_model=load_model))
    assert message.startswith(f"plugin 'mine': {expected}")


@pytest.mark.parametrize("scores", [7, [("psnr", 1.0)], {1: 2.0}, {"": 1.0}, {"a\n": 1.0}, {"x": torch.zeros(2)}])
def test_scores_that_are_none_name_the_plugin(tiny_suite, scores):
    message = error_of(run, tiny_suite, plugin("mine", evaluate=lambda: scores))
    assert ": plugin 'mine': " in message
