"""The class of a method is what happened: which tensors differ, and whether an optimizer made steps."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from tiny import plugin, run

from sr_ptq_bench import Training
from sr_ptq_bench.cache.resume import PeriodicCheckpoint
from sr_ptq_bench.quantization.training import STEPS, counted_steps

TRAINED = {"dqc.iterations": "3", "dqc.batch": "2", "dqc.patch": "8"}


def scale_weights(student):
    for weight in student.weights.values():
        weight.data.mul_(1.5)


def move_a_bias(student):
    student.network.tail.bias.data.add_(0.01)


def training(of, rate=0.01):
    """A calibrator of two steps on four patches each that trains what `of` names."""

    def calibrate(student, batches, checkpoint):
        tensors = of(student)
        for tensor in tensors:
            tensor.requires_grad_()
        adam = torch.optim.Adam(tensors, rate)
        schedule = torch.optim.lr_scheduler.ConstantLR(adam)
        session = Training(student, checkpoint)
        patches = batches.random(4, 8)
        for _ in session.steps(adam, schedule, 2):
            loss = student(next(patches)).square().mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
            schedule.step()
            session.losses.append(loss.detach())
        for tensor in tensors:
            tensor.requires_grad_(False)

    return calibrate


def bounds(student):
    return student.bound_parameters()


def weights(student):
    return list(student.weights.values())


def learned(suite, method, *hooks, **options):
    found = run(suite, *hooks, method=method, **options).learned
    return found.kind, found.steps, found.patches


def test_an_initializer_changes_bounds_alone(tiny_suite):
    assert learned(tiny_suite, "minmax") == ("bounds", 0, 0)


def test_dqc_trains_bounds(tiny_suite):
    assert learned(tiny_suite, "2dquant", **TRAINED) == ("bounds trained", 3, 6)


@pytest.mark.parametrize(
    ("hooks", "expected"),
    [
        ({"transform_model": scale_weights}, ("weights in closed form", 0, 0)),
        ({"calibrate": scale_weights}, ("weights in closed form", 0, 0)),
        ({"calibrate": move_a_bias}, ("weights in closed form", 0, 0)),
        ({"calibrate": training(bounds)}, ("bounds trained", 2, 8)),
        ({"calibrate": training(weights)}, ("weights trained", 2, 8)),
        ({"calibrate": training(weights, rate=0.0)}, ("bounds trained", 2, 8)),
        (
            {"transform_model": scale_weights, "calibrate": training(bounds)},
            ("weights in closed form, bounds trained", 2, 8),
        ),
    ],
)
def test_what_happened_decides(tiny_suite, hooks, expected):
    assert learned(tiny_suite, "minmax+mine", plugin("mine", **hooks)) == expected


def test_weights_that_come_from_other_trained_tensors_are_trained(tiny_suite):
    """As in AdaRound: rounding variables are trained, and the weights are written at the end."""

    def calibrate(student, batches):
        shift = torch.zeros((), requires_grad=True)
        torch.optim.SGD([shift], 0.1).step()
        next(batches.random(1, 8))
        student.network.tail.bias.data.add_(1e-3 - shift.detach())

    assert learned(tiny_suite, "minmax+mine", plugin("mine", calibrate=calibrate)) == ("weights trained", 1, 1)


def test_a_pass_over_the_patches_counts_them(tiny_suite):
    def calibrate(student, batches):
        list(batches.fixed(3))

    assert learned(tiny_suite, "minmax+mine", plugin("mine", calibrate=calibrate)) == ("bounds", 0, 4)


def test_an_optimizer_inside_another_makes_no_steps_of_its_own():
    class Both(torch.optim.SGD):
        def step(self, closure=None):
            inner.step()
            return super().step(closure)

    x = torch.zeros((), requires_grad=True)
    inner, counts = torch.optim.Adam([x]), Counter()
    outer = Both([x], 0.1)
    with counted_steps(counts):
        outer.step()
        inner.step()
    outer.step()
    assert counts == {STEPS: 2}


def test_counts_go_on_where_a_killed_calibration_was(tmp_path):
    checkpoint = PeriodicCheckpoint(tmp_path / "c", pytest.fail, 0.0)
    checkpoint.load()
    checkpoint.counts[STEPS] = 7
    checkpoint.save(lambda: {"x": torch.ones(2)})
    again = PeriodicCheckpoint(tmp_path / "c", pytest.fail, 0.0)
    again.counts[STEPS] = 1
    kept = again.load()
    assert (list(kept), again.counts) == (["x"], {STEPS: 7})
