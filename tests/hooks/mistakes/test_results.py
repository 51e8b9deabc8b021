"""What a hook returns or raises."""

from __future__ import annotations

import pytest
from mistaken import refused

from sr_ptq_bench import Bounds


def transformed(student):
    yield student


@pytest.mark.parametrize(("hook", "kind"), [(transformed, "generator"), (lambda student: student.weights, "dict")])
def test_a_transformation_that_is_lost(tiny_suite, hook, kind):
    assert f"plugin 'mine': srq_transform_model returns a {kind}" in refused(tiny_suite, transform_model=hook)


@pytest.mark.parametrize("log", [0, [], ""])
def test_a_log_that_is_empty_and_no_dict(tiny_suite, log):
    assert "plugin 'mine' returns its log as a" in refused(tiny_suite, calibrate=lambda: log)


def test_complex_bounds(tiny_suite):
    said = refused(tiny_suite, init_bounds=lambda: Bounds(0.0, 1 + 1j))
    assert said == "plugin 'mine', site fc1.weight: bounds are no numbers: they are complex"


class MuteError(Exception):
    def __str__(self):
        raise ValueError("no message")


class StrangeError(BaseException):
    pass


@pytest.mark.parametrize(
    ("error", "said"), [(MuteError(), "MuteError without a message"), (StrangeError("stop"), "StrangeError: stop")]
)
def test_exceptions_of_any_kind(tiny_suite, error, said):
    def fail():
        raise error

    assert f"plugin 'mine' fails in srq_calibrate: {said}; " in refused(tiny_suite, calibrate=fail)
