"""DQC: the official loss by hand, gradients against plain autograd, the training on a network of a few weights."""

from __future__ import annotations

import math

import pytest
import torch
from oracle import images, straight_through
from srq_2dquant.dqc import (
    Options,
    learning_rate,
    loss_of,
    official_feature_loss,
    srq_calibrate,
)
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from training import Forgetful, exact_supply, quiet, supply, teacher_and_student

from sr_ptq_bench import Batches, SrqError, distillation_loss
from sr_ptq_bench.quantization import quantizer

aten = torch.ops.aten
QUICK = {"iterations": 3, "batch": 1, "patch": 8}


def options(**values) -> Options:
    return Options.parse(values)


def test_presets():
    paper, official = options(), options(preset="official")
    for chosen, expected in (
        (paper, (3000, 32, 64, 1e-2, 0.9, 0.999, "cosine", 5.0, "paper")),
        (official, (4000, 16, 64, 1e-2, 0.9, 0.99, "constant", 5.0, "official")),
    ):
        found = (
            chosen.iterations, chosen.batch, chosen.patch, chosen.lr, chosen.beta1, chosen.beta2, chosen.schedule,
            chosen.feature_weight, chosen.loss,
        )  # fmt: skip
        assert found == expected


@pytest.mark.parametrize(
    "values", [{"lr": 0}, {"iterations": 0}, {"beta1": 1.0}, {"patch": 4}, {"loss": "l2"}, {"lrr": 1}, {"batch": -1}]
)
def test_options_that_are_refused(values):
    with pytest.raises(SrqError):
        Options.parse(values)


def test_a_single_value_wins_over_the_preset():
    chosen = Options.parse({"preset": "official", "beta2": "0.5"})
    assert (chosen.beta2, chosen.schedule) == (0.5, "constant")


def test_official_feature_loss_by_hand():
    """Norms over the whole batch: 5 and 10; mean of squares, divided again by the 4 elements."""
    student, target = torch.tensor([[3.0, 0.0], [0.0, 4.0]]), torch.tensor([[6.0, 0.0], [0.0, -8.0]])
    squares = (0.6 - 0.6) ** 2 + (0.8 + 0.8) ** 2
    assert float(official_feature_loss([student], [target])) == pytest.approx(squares / 4 / 4)


def test_official_loss_of_equal_features_is_zero_and_has_a_gradient():
    x = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(0))
    student = x.clone().requires_grad_()
    total = official_feature_loss([student], [x])
    total.backward()
    assert float(total.detach()) == 0
    assert bool(torch.isfinite(student.grad).all())


@pytest.mark.parametrize("weight", [0.0, 5.0])
def test_the_official_loss_divides_the_output_s_part_once_more(weight):
    teacher, student = teacher_and_student()
    lr = images(2, 8)
    with torch.no_grad():
        (output, features), (target, targets) = student.with_features(lr), teacher.with_features(lr)
        of_output = float((output - target).abs().sum()) / output.numel() / output[0].numel()
        expected = of_output + weight * float(official_feature_loss(features, targets))
        found = float(loss_of(student, teacher, lr, options(loss="official", feature_weight=weight)))
    assert found == pytest.approx(expected, rel=1e-6)


def test_the_paper_s_loss_is_the_common_one():
    teacher, student = teacher_and_student()
    lr = images(2, 8)
    with torch.no_grad():
        found = loss_of(student, teacher, lr, options(feature_weight=3.0))
        assert torch.equal(found, distillation_loss(student, teacher, lr, 3.0))


@pytest.mark.parametrize("loss", ["paper", "official"])
def test_gradients_of_all_bounds_are_those_of_plain_autograd(loss, monkeypatch):
    teacher, student = teacher_and_student("3")
    teacher.network.double()
    student.network.double()
    lr, chosen = images(2, 8).double(), options(loss=loss)
    bounds = student.bound_parameters()
    for bound in bounds:
        bound.requires_grad_()
    ours = torch.autograd.grad(loss_of(student, teacher, lr, chosen), bounds)
    monkeypatch.setattr(quantizer, "fake_quantize", lambda *args: straight_through(*args[:4]))
    plain = torch.autograd.grad(loss_of(student, teacher, lr, chosen), bounds)
    largest = max(float(grad.abs().max()) for grad in plain)
    assert sum(bool(grad != 0) for grad in plain) == len(bounds)
    for own, reference in zip(ours, plain, strict=True):
        torch.testing.assert_close(own, reference, rtol=1e-7, atol=1e-11 * largest)


class Reads(TorchDispatchMode):
    """Notes the operations that make Python wait for a tensor's value: on a GPU each stops the step."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.calls = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.calls += 1
        if func.overloadpacket in (aten._local_scalar_dense, aten.nonzero, aten.equal, aten.is_nonzero):
            self.found.append(str(func))
        return func(*args, **kwargs or {})


@pytest.mark.parametrize("loss", ["paper", "official"])
def test_a_step_never_waits_for_a_value(loss):
    teacher, student = teacher_and_student()
    bounds = [bound.requires_grad_() for bound in student.bound_parameters()]
    lr = images(2, 8)
    with Reads() as reads:
        loss_of(student, teacher, lr, options(loss=loss)).backward()
        student.fix_crossed_bounds()
    assert reads.calls > len(bounds)
    assert reads.found == []
    with Reads() as reads:
        float(lr.sum())
    assert reads.found


def test_the_cosine_schedule():
    chosen = options(iterations=200)
    shares = [learning_rate(step, chosen) for step in (0, 50, 100, 150, 200)]
    assert shares == pytest.approx([1, (2 + math.sqrt(2)) / 4, 0.5, (2 - math.sqrt(2)) / 4, 0], abs=1e-6)


def test_the_constant_schedule():
    chosen = options(schedule="constant", iterations=10)
    assert {learning_rate(step, chosen) for step in range(11)} == {1.0}


def by_hand(student, teacher, chosen: Options, batches: Batches) -> list[float]:
    """Adam as Kingma and Ba write it, one bound after the other."""
    bounds = student.bound_parameters()
    for bound in bounds:
        bound.requires_grad_()
    m, v, losses = [0.0] * len(bounds), [0.0] * len(bounds), []
    patches = batches.random(chosen.batch, chosen.patch)
    for t in range(1, chosen.iterations + 1):
        loss = loss_of(student, teacher, next(patches), chosen)
        losses.append(float(loss.detach()))
        share = 0.5 * (1 + math.cos(math.pi * (t - 1) / chosen.iterations)) if chosen.schedule == "cosine" else 1.0
        for i, grad in enumerate(torch.autograd.grad(loss, bounds)):
            m[i] = chosen.beta1 * m[i] + (1 - chosen.beta1) * float(grad)
            v[i] = chosen.beta2 * v[i] + (1 - chosen.beta2) * float(grad) ** 2
            step = m[i] / (1 - chosen.beta1**t) / (math.sqrt(v[i] / (1 - chosen.beta2**t)) + 1e-8)
            bounds[i].data -= chosen.lr * share * step
        for lower, upper in zip(bounds[::2], bounds[1::2], strict=True):
            upper.data = torch.max(lower.data, upper.data)
    return losses


@pytest.mark.parametrize("preset", ["paper", "official"])
def test_the_training_is_adam_on_all_bounds(preset):
    chosen = options(preset=preset, lr=3e-3, **QUICK)
    one, other = teacher_and_student(), teacher_and_student()
    for model in (*one, *other):
        model.network.double()
    batches = exact_supply()
    figures = srq_calibrate(
        student=one[1], teacher=one[0], batches=batches, options=chosen, progress=quiet, checkpoint=Forgetful()
    )
    losses = by_hand(other[1], other[0], chosen, batches)
    assert figures["losses"] == pytest.approx(losses, rel=1e-6)
    for own, reference in zip(one[1].bound_parameters(), other[1].bound_parameters(), strict=True):
        torch.testing.assert_close(own.detach(), reference.detach(), rtol=0, atol=1e-6)


def calibrated(seed: int = 0, progress=quiet, **values):
    teacher, student = teacher_and_student()
    chosen = options(**{**QUICK, **values})
    figures = srq_calibrate(
        student=student,
        teacher=teacher,
        batches=supply(seed),
        options=chosen,
        progress=progress,
        checkpoint=Forgetful(),
    )
    return student, teacher, figures


def numbers(bounds: list[Tensor]) -> list[float]:
    return [float(bound) for bound in bounds]


def test_the_first_step_is_as_long_as_the_learning_rate():
    teacher, student = teacher_and_student()
    before = numbers(student.bound_parameters())
    chosen = options(**{**QUICK, "iterations": 1, "lr": 1e-3})
    srq_calibrate(
        student=student, teacher=teacher, batches=supply(), options=chosen, progress=quiet, checkpoint=Forgetful()
    )
    moves = [abs(a - b) for a, b in zip(numbers(student.bound_parameters()), before, strict=True)]
    assert max(moves) <= 1.001e-3
    assert sum(move > 0.9e-3 for move in moves) > 0.8 * len(moves)


def test_progress_counts_every_step():
    seen = []
    calibrated(progress=lambda done, total, note="": seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
