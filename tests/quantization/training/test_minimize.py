"""Steps of the usual kind."""

from __future__ import annotations

import pytest
import torch
from interrupted import calibrated, killed, transformer
from training import (
    Forgetful,
    Memory,
)

from sr_ptq_bench import Training


def test_minimize_makes_the_steps_of_gradient_descent_by_hand():
    """The loss sum(b^2) multiplies every bound by 1 - 2 * rate at each step, and the rates are 0.1 and 0.05."""
    _, student = transformer()
    bounds = student.bound_parameters()
    expected = [bound.detach() * 0.8 * 0.9 for bound in bounds]
    sgd = torch.optim.SGD(bounds, 0.1)
    halving = torch.optim.lr_scheduler.ExponentialLR(sgd, 0.5)
    training, said = Training(student, Forgetful()), []
    seen = []

    def loss():
        assert all(bound.requires_grad for bound in bounds)
        seen.append(sum(bound.square().sum() for bound in bounds))
        return seen[-1]

    training.minimize(loss, sgd, halving, 2, lambda done, total, note="": said.append((done, total)))
    torch.testing.assert_close([bound.detach() for bound in bounds], expected)
    assert not any(bound.requires_grad for bound in bounds)
    assert training.losses == [of.detach() for of in seen]
    assert said == [(1, 2), (2, 2)]


def test_minimize_fixes_bounds_that_a_step_crossed():
    _, student = transformer()
    quantizer = next(iter(student.quantizers.values()))
    lower = float(quantizer.lower)
    sgd = torch.optim.SGD([quantizer.upper], 1.0)
    constant = torch.optim.lr_scheduler.ConstantLR(sgd, 1.0)
    Training(student, Forgetful()).minimize(lambda: 100 * quantizer.upper, sgd, constant, 1, lambda *_: None)
    assert (float(quantizer.lower), float(quantizer.upper)) == (lower, lower)


@pytest.mark.parametrize("step", [1, 2, 3])
def test_minimize_continues_after_a_kill(step):
    def train(student, _teacher, batches, checkpoint):
        training = Training(student, checkpoint)
        optimizer = torch.optim.Adam(student.bound_parameters(), 1e-3)
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 3)
        patches = batches.random(2, 16, skip=len(training.losses))
        training.minimize(lambda: student(next(patches)).square().mean(), optimizer, cosine, 3, lambda *_: None)
        return training.log()

    memory = Memory(step)
    killed("transformer", memory, train)
    assert calibrated("transformer", memory, train) == calibrated("transformer", Forgetful(), train)
