"""A training that is killed after any step ends at the same bits as one that was left alone."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from oracle import bounded, images, normed
from refusals import error_of
from training import (
    STEPS,
    Forgetful,
    Killed,
    Memory,
    adam,
    momentum,
    supply,
    teacher_and_student,
    train_everything,
    with_student,
)

from sr_ptq_bench import Training
from sr_ptq_bench.quantization.randomness import generator_states, seed_generators
from sr_ptq_bench.quantization.state.network_tensors import same_bits
from sr_ptq_bench.quantization.state.save_load import save_state


def transformer():
    return teacher_and_student("3")


def with_norms():
    """A student whose norms are in training, so that every forward pass changes their buffers."""
    teacher = normed()
    student = bounded(teacher, "3", images(1, 16))
    student.network.train()
    return teacher, student


NETWORKS = {"transformer": transformer, "norms": with_norms}


def calibrated(network, checkpoint, train=train_everything):
    """The state of the student, the log, and where the global generators are, after a whole calibration."""
    teacher, student = NETWORKS[network]()
    seed_generators(5)
    log = train(student, teacher, supply(), checkpoint)
    return save_state(student, teacher), log, {name: state.tolist() for name, state in generator_states().items()}


def killed(network, checkpoint, train=train_everything):
    with pytest.raises(Killed):
        calibrated(network, checkpoint, train)


@pytest.fixture(scope="module")
def alone():
    return {network: calibrated(network, Forgetful()) for network in NETWORKS}


@pytest.mark.parametrize("network", NETWORKS)
def test_the_training_changes_all_that_it_should(alone, network):
    """Otherwise the other tests show nothing."""
    teacher, student = NETWORKS[network]()
    before = save_state(student, teacher)
    state, log, _ = alone[network]
    assert state != before
    assert len(set(log["losses"])) == 2 * STEPS
    assert all(log["shift"])
    from safetensors.torch import load

    names = {name.partition("|")[2] for name in load(state) if name.startswith("network|")}
    assert any(name.endswith("weight") for name in names)
    assert any(name.endswith("bias") for name in names)
    if network == "norms":
        assert {"norm.running_mean", "norm.num_batches_tracked"} <= names


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("step", range(1, 2 * STEPS + 1))
def test_a_training_that_is_killed_after_any_step_ends_at_the_same_bits(alone, network, step):
    memory = Memory(step)
    killed(network, memory)
    assert calibrated(network, memory) == alone[network]


@pytest.mark.parametrize("network", NETWORKS)
def test_a_training_that_is_killed_after_every_step_ends_at_the_same_bits(alone, network):
    memory = Memory(1)
    for _ in range(2 * STEPS):
        memory.left = 1
        killed(network, memory)
    assert calibrated(network, memory) == alone[network]


def of_kind(kind, **values):
    """Makes an optimizer of one of torch's kinds."""
    return pytest.param(partial(kind, **values), id=" ".join([kind.__name__, *values]))


@pytest.mark.parametrize(
    "optimizer",
    [
        of_kind(torch.optim.Adam, foreach=True),
        of_kind(torch.optim.Adam, fused=True),
        of_kind(torch.optim.Adam, amsgrad=True, weight_decay=0.1),
        of_kind(torch.optim.AdamW),
        of_kind(torch.optim.SGD),
        of_kind(torch.optim.SGD, momentum=0.5, dampening=0.1),
        of_kind(torch.optim.RMSprop, centered=True, momentum=0.5),
        of_kind(torch.optim.Adagrad),
        of_kind(torch.optim.Adadelta),
        of_kind(torch.optim.Adamax),
        of_kind(torch.optim.NAdam),
        of_kind(torch.optim.RAdam),
        of_kind(torch.optim.Rprop),
        of_kind(torch.optim.ASGD, t0=1),
        of_kind(torch.optim.Adafactor),
    ],
)
@pytest.mark.parametrize("step", [1, STEPS, STEPS + 2])
def test_any_optimizer_continues(optimizer, step):
    train = partial(train_everything, optimizers=(optimizer, optimizer))
    memory = Memory(step)
    killed("transformer", memory, train)
    assert calibrated("transformer", memory, train) == calibrated("transformer", Forgetful(), train)


SCHEDULES = {
    "steps": lambda of: torch.optim.lr_scheduler.MultiStepLR(of, [1, 3]),
    "one cycle": lambda of: torch.optim.lr_scheduler.OneCycleLR(of, 1e-2, total_steps=STEPS),
    "restarts": lambda of: torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(of, 2),
    "warm-up, then cosine": lambda of: torch.optim.lr_scheduler.SequentialLR(
        of,
        [
            torch.optim.lr_scheduler.LinearLR(of, 0.1, total_iters=2),
            torch.optim.lr_scheduler.CosineAnnealingLR(of, STEPS - 2),
        ],
        [2],
    ),
    "two at once": lambda of: torch.optim.lr_scheduler.ChainedScheduler(
        [torch.optim.lr_scheduler.ExponentialLR(of, 0.9), torch.optim.lr_scheduler.ConstantLR(of, 0.5, 2)]
    ),
    "cycles": lambda of: torch.optim.lr_scheduler.CyclicLR(of, 1e-4, 1e-2, 2),
    "momentum too": lambda of: torch.optim.lr_scheduler.OneCycleLR(of, 1e-2, total_steps=STEPS, max_momentum=0.9),
}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_any_schedule_continues(schedule, step):
    def train(student, _teacher, batches, checkpoint):
        training = Training(student, checkpoint)
        sgd = torch.optim.SGD(student.bound_parameters(), 1e-3, momentum=0.9)
        patches = batches.random(2, 16, skip=len(training.losses))
        training.minimize(
            lambda: student(next(patches)).square().mean(), sgd, SCHEDULES[schedule](sgd), STEPS, lambda *_: None
        )
        return training.log()

    memory = Memory(step)
    killed("transformer", memory, train)
    assert calibrated("transformer", memory, train) == calibrated("transformer", Forgetful(), train)


def test_an_optimizer_with_a_state_of_lists_is_refused():
    _, student = transformer()
    bounds = [bound.requires_grad_() for bound in student.bound_parameters()]
    lbfgs = torch.optim.LBFGS(bounds)
    training = Training(student, Memory(9))

    def closure():
        loss = sum(bound.square().sum() for bound in bounds)
        loss.backward()
        return loss

    def train():
        for _ in training.steps(lbfgs, torch.optim.lr_scheduler.ConstantLR(lbfgs, 1.0), 2):
            training.losses.append(lbfgs.step(closure).detach())

    assert "cannot keep the state of LBFGS" in error_of(train)


def test_three_phases_and_an_order_of_its_own():
    train = partial(train_everything, optimizers=(momentum, adam, momentum))
    expected = calibrated("norms", Forgetful(), train)
    for step in range(1, 3 * STEPS + 1):
        memory = Memory(step)
        killed("norms", memory, train)
        assert calibrated("norms", memory, train) == expected


# Steps of the usual kind


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


# What a training does at its beginning and between phases


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
