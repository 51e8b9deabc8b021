"""What a training does at its beginning and between phases."""

from __future__ import annotations

import pytest
import torch
from interrupted import transformer
from oracle import normed
from refusals import error_of
from training import (
    Forgetful,
    Killed,
    Memory,
    supply,
    with_student,
)

from sr_ptq_bench import Training
from sr_ptq_bench.quantization.state.network_tensors import same_bits


def one_step(training, parameters, rate=0.1, count=1):
    """Steps of SGD on the sum of the parameters."""
    parameters = [parameter.requires_grad_() for parameter in parameters]
    sgd = torch.optim.SGD(parameters, rate)
    schedule = torch.optim.lr_scheduler.ConstantLR(sgd, 1.0)
    for step in training.steps(sgd, schedule, count):
        loss = sum(parameter.sum() for parameter in parameters)
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        training.losses.append(loss.detach())
        yield step


def test_what_comes_before_the_first_step_is_replaced_by_the_checkpoint():
    memory = Memory(1)
    _, student = transformer()
    bounds = student.bound_parameters()
    with pytest.raises(Killed):
        list(one_step(Training(student, memory), bounds, count=2))
    after_one = [bound.detach().clone() for bound in bounds]
    _, student = transformer()
    before = [bound.detach().clone() for bound in student.bound_parameters()]
    training = Training(student, memory)
    assert len(training.losses) == 1
    assert all(map(same_bits, student.bound_parameters(), before))  # nothing is restored yet
    student.bound_parameters()[0].data.add_(5)
    steps = one_step(training, student.bound_parameters(), count=2)
    assert next(steps) == 1
    torch.testing.assert_close(
        [bound.detach() + 0.1 for bound in student.bound_parameters()], after_one, rtol=0, atol=1e-6
    )


def test_tensors_that_no_step_changed_go_back_to_where_the_training_began():
    """They may have been changed before the first step of the run that continues."""
    memory = Memory(1)
    _, student = transformer()
    with pytest.raises(Killed):
        list(one_step(Training(student, memory), student.bound_parameters()[:2]))
    _, again = transformer()
    training = Training(again, memory)
    for tensor in again.network.state_dict().values():
        tensor.add_(1)
    list(one_step(training, again.bound_parameters()[:2]))
    assert all(
        same_bits(tensor, again.network.state_dict()[name]) for name, tensor in student.network.state_dict().items()
    )


def test_a_checkpoint_holds_what_changed_and_no_more():
    memory = Memory(1)
    _, student = transformer()
    with pytest.raises(Killed):
        list(one_step(Training(student, memory), [next(iter(student.weights.values()))]))
    of_student = [name for name in memory.kept if name.startswith("student ")]
    assert len(of_student) == 1
    assert of_student[0].endswith("layer.weight")


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_phase_that_is_done_yields_no_step(step):
    memory = Memory(step)
    _, student = transformer()

    def phases(training, bounds):
        return [list(one_step(training, bounds[:2], 0.1, 2)), list(one_step(training, bounds[2:4], 0.2, 2))]

    with pytest.raises(Killed):
        phases(Training(student, memory), student.bound_parameters())
    _, student = transformer()
    training = Training(student, memory)
    assert phases(training, student.bound_parameters()) == [list(range(2))[step:], list(range(max(0, step - 2), 2))]
    assert len(training.losses) == 4


def test_each_group_has_its_rate_again():
    memory = Memory(2)
    rates = []

    def train(checkpoint):
        _, student = transformer()
        first, second, *_ = [bound.requires_grad_() for bound in student.bound_parameters()]
        sgd = torch.optim.SGD([{"params": [first], "lr": 0.5}, {"params": [second], "lr": 0.25}])
        schedule = torch.optim.lr_scheduler.StepLR(sgd, 1, 0.5)
        training = Training(student, checkpoint)
        for step in training.steps(sgd, schedule, 4):
            rates.append((step, *(group["lr"] for group in sgd.param_groups)))
            sgd.step()
            schedule.step()
            training.losses.append(torch.zeros(()))

    with pytest.raises(Killed):
        train(memory)
    train(memory)
    assert rates == [(step, 0.5 / 2**step, 0.25 / 2**step) for step in range(4)]


def test_the_sign_of_a_zero_is_kept():
    memory = Memory(1)
    _, student = transformer()
    bound = student.bound_parameters()[0]
    bound.data.zero_()

    def negate(student):
        training = Training(student, memory)
        sgd = torch.optim.SGD([student.bound_parameters()[0]], 0.0)
        for _ in training.steps(sgd, torch.optim.lr_scheduler.ConstantLR(sgd), 2):
            student.bound_parameters()[0].data.neg_()
            training.losses.append(torch.zeros(()))
            yield student.bound_parameters()[0]

    with pytest.raises(Killed):
        list(negate(student))
    assert torch.signbit(bound)
    _, again = transformer()
    again.bound_parameters()[0].data.zero_()
    (last,) = negate(again)
    assert not torch.signbit(last)


def test_a_tensor_without_a_name_is_refused():
    _, student = transformer()
    stranger = torch.zeros(3, requires_grad=True)
    message = "a training changes a tensor without a name; give it to Training(..., tensors={name: tensor})"
    training = Training(student, Forgetful())
    assert error_of(lambda: list(one_step(training, [stranger]))) == message
    assert list(one_step(Training(student, Forgetful(), {"stranger": stranger}), [stranger])) == [0]


def test_patches_that_were_used_are_not_used_again():
    memory = Memory(1)
    seen = []

    def train():
        _, student = with_student(normed(), "4")
        training = Training(student, memory)
        patches = supply().random(1, 8, skip=len(training.losses))
        for _ in one_step(training, student.bound_parameters(), count=3):
            seen.append(next(patches))

    for _ in range(3):
        memory.left = 1
        with pytest.raises(Killed):
            train()
    expected = supply().random(1, 8)
    assert all(torch.equal(patch, next(expected)) for patch in seen)
    assert len(seen) == 3
