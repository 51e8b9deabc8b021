"""A training that is killed continues to the same bits."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from interrupted import NETWORKS, calibrated, killed, transformer
from refusals import error_of
from training import (
    STEPS,
    Forgetful,
    Memory,
    adam,
    momentum,
    train_everything,
)

from sr_ptq_bench import Training
from sr_ptq_bench.quantization.state.save_load import save_state


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
