"""Every check of the conformance suite fails for a method that breaks just this promise."""

from __future__ import annotations

import pytest
import torch
from tiny import plugin, plugins

from sr_ptq_bench import Bounds, PluginOptions, Quantizer, SrqError
from sr_ptq_bench.hooks.resolve import resolve_method
from sr_ptq_bench.testing import MethodConformance

COUNT = iter(range(10**6))
KEPT: list[torch.Tensor] = []


def minmax(distribution):
    return Bounds(distribution.minimum, distribution.maximum)


def method_with(options=None, **hooks):
    """The suite of a method with these hooks, and the method."""
    hooks = {"init_bounds": minmax, **hooks}
    known = plugins(plugin("mine", options, **hooks))
    suite = type("Suite", (MethodConformance,), {"plugin": "mine", "plugins": classmethod(lambda cls: known)})()
    return suite, resolve_method(known, "mine", {})


class Plain(Quantizer):
    def quantize(self, v):
        return v


class Forgetful(Quantizer):
    """Keeps what it learns where no state can see it."""

    factor = 1.0

    def fit(self, distribution):
        self.factor = 1.5

    def quantize(self, v):
        return super().quantize(v) * self.factor


class Loose(PluginOptions):
    share: object = 0.5


def count_up(student):
    next(iter(student.quantizers.values())).upper.data.add_(next(COUNT))


def train_from_the_middle(student, checkpoint):
    """Loads nothing of what it saved, and counts on from what a process has left."""
    start = 0 if checkpoint.load() is None else 1
    for step in range(start, 3):
        next(iter(student.quantizers.values())).upper.data.add_(0.5)
        checkpoint.save(lambda step=step: {"step": torch.tensor(step)})


def change_the_teacher(teacher):
    next(teacher.network.parameters()).data.add_(1)


def keep_all(student, batches):
    """Keeps the patches of a pass until the next one."""
    KEPT.clear()
    KEPT.extend(batches.fixed(1))
    list(batches.fixed())


def test_more_levels_than_bits_allow():
    suite, method = method_with(make_quantizer=lambda site, bits: Plain(site, bits))  # noqa: PLW0108
    with pytest.raises(AssertionError, match="levels; 2 bits have 4"):
        suite.test_codes_are_counted(2, method)


class Always(Quantizer):
    """Cannot be switched off."""

    def forward(self, v):
        return self.quantize(v)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda site, bits: Quantizer(site, 8), "its quantizers of weights have 8.000 bits on average; expected 2"),
        (lambda site, bits: Always(site, bits), "a forward of its own, which cannot be switched off"),  # noqa: PLW0108
    ],
)
def test_quantizers_that_no_run_accepts(make, said):
    suite, method = method_with(make_quantizer=make)
    with pytest.raises(SrqError, match=said):
        suite.test_codes_are_counted(2, method)


def test_bounds_that_are_not_finite():
    suite, method = method_with(init_bounds=lambda distribution: Bounds(0.0, float("inf")))
    with pytest.raises(SrqError, match="bounds are not finite"):
        suite.test_every_backbone("convolutions", method)


def test_a_division_by_the_width():
    suite, method = method_with(
        init_bounds=lambda distribution: Bounds(0.0, 1 / (distribution.maximum - distribution.minimum))
    )
    with pytest.raises(SrqError, match="ZeroDivisionError"):
        suite.test_degenerate_tensors("constant", "activation", method)


def test_chance():
    suite, method = method_with(calibrate=count_up)
    with pytest.raises(AssertionError, match="two equal runs give different states"):
        suite.test_it_is_deterministic(method)


REMEMBERS = """
from sr_ptq_bench import Bounds, hookimpl

KNOWN = {}

@hookimpl
def srq_init_bounds(site, distribution, bits):
    return KNOWN.setdefault(site.name, Bounds(bits * distribution.minimum, bits * distribution.maximum))
"""


def test_a_memory_of_other_runs(tmp_path):
    path = tmp_path / "remembers.py"
    path.write_text(REMEMBERS)
    suite = type("Suite", (MethodConformance,), {"plugin": "remembers", "files": (path,)})()
    method = resolve_method(suite.plugins(), "remembers", {})
    with pytest.raises(AssertionError, match="a run after others ends with another state"):
        suite.test_it_remembers_no_other_run(method)


def test_a_training_that_forgets():
    suite, method = method_with(calibrate=train_from_the_middle)
    with pytest.raises(AssertionError, match="a resumed calibration ends with another state"):
        suite.test_a_killed_calibration_continues(1, method)


def test_a_state_that_is_not_all():
    suite, method = method_with(make_quantizer=lambda site, bits: Forgetful(site, bits))  # noqa: PLW0108
    with pytest.raises(AssertionError, match="what is restored from the state is another student"):
        suite.test_the_state_restores_the_student(method)


class Dithered(Quantizer):
    """Rounds up or down by chance."""

    def quantize(self, v):
        step = (self.upper - self.lower).clamp_min(1e-9) / (2**self.bits - 1)
        return ((v - self.lower) / step + torch.rand_like(v)).floor().clamp(0, 2**self.bits - 1) * step + self.lower


def test_a_quantizer_may_draw_random_numbers():
    suite, method = method_with(make_quantizer=lambda site, bits: Dithered(site, bits))  # noqa: PLW0108
    suite.test_the_state_restores_the_student(method)


def test_a_teacher_that_is_changed():
    suite, method = method_with(calibrate=change_the_teacher)
    with pytest.raises(AssertionError, match="the teacher was changed"):
        suite.test_the_teacher_is_left_alone(method)


def test_patches_that_are_kept():
    suite, method = method_with(calibrate=keep_all)
    with pytest.raises(AssertionError, match="stream them"):
        suite.test_memory_does_not_grow_with_the_patches(method)
    KEPT.clear()


def test_options_that_take_anything():
    suite, method = method_with(Loose)
    with pytest.raises(pytest.fail.Exception):
        suite.test_options_are_validated(method)


def test_a_plugin_that_is_no_method():
    suite, _ = method_with()
    type(suite).plugin = "metrics"
    with pytest.raises(AssertionError, match="'metrics' is no method"):
        suite.test_hooks_are_well_formed()
