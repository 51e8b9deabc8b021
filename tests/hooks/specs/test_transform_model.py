"""`srq_transform_model`."""

from __future__ import annotations

import pytest
import torch
from mistaken import minmax
from spied import calls
from tiny import plugin, run

from sr_ptq_bench import Batches, Student


def test_srq_transform_model_gets_the_student_and_the_calibration_patches_once(log):
    ((student, batches, _),) = calls(log, "transform_model")
    assert isinstance(student, Student)
    assert isinstance(batches, Batches)
    assert batches.patches.shape == (4, 8, 8, 3)


def test_srq_transform_model_sees_a_student_in_full_precision(tiny_suite):
    outputs = []

    def transform_model(student, batches):
        x = next(batches.fixed())
        outputs.extend([student(x), student.network.head(x)])

    def calibrate(student, teacher, batches):
        x = next(batches.fixed())
        outputs.append(teacher(x))
        assert all(quantizer.enabled for quantizer in student.quantizers.values())

    run(
        tiny_suite,
        plugin("t", init_bounds=minmax, transform_model=transform_model, calibrate=calibrate),
        method="t",
    )
    assert torch.equal(outputs[0], outputs[2])


def test_srq_transform_model_comes_before_the_pass_that_observes(tiny_suite):
    """Cached distributions of the untouched network must not be used."""
    ranges = {}

    def transform_model(student):
        student.network.fc1.layer.weight.data.zero_()
        student.network.fc1.layer.bias.data.fill_(3.0)

    def init_bounds(site, distribution):
        ranges[site.name] = distribution.minimum, distribution.maximum
        return minmax(distribution)

    run(tiny_suite)
    run(tiny_suite, plugin("t", init_bounds=init_bounds, transform_model=transform_model), method="t")
    assert ranges["fc1.weight"] == (0.0, 0.0)
    gelu = float(torch.nn.functional.gelu(torch.tensor(3.0)))
    assert ranges["fc2.input"] == pytest.approx((gelu, gelu))
