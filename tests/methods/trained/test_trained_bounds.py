"""What DQC and Pac share: bounds are trained, and nothing else."""

from __future__ import annotations

import math
from itertools import islice
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import srq_2dquant.dqc
import srq_baselines.pac
import torch
from training import Forgetful, network, quiet, supply

from sr_ptq_bench import Bounds, Student


class Case(NamedTuple):
    """A calibrator and a network: tokens and Linear layers, or maps and convolutions with per-channel weights."""

    plugin: ModuleType
    kind: str
    wild: dict[str, float]
    """Learning rates far too high."""
    phases: int

    def calibrate(self, bits: str = "3", seed: int = 0, **values: Any):
        teacher, student = network(self.kind, bits)
        return student, teacher, self.train(student, teacher, seed, **values)

    def train(self, student: Student, teacher, seed: int = 0, **values: Any) -> dict[str, Any]:
        return self.plugin.srq_calibrate(
            student=student,
            teacher=teacher,
            batches=supply(seed),
            options=self.options(**values),
            progress=quiet,
            checkpoint=Forgetful(),
        )

    def options(self, **values: Any):
        return self.plugin.Options.parse({"iterations": 2, "batch": 1, "patch": 8} | values)


DQC = Case(srq_2dquant.dqc, "tokens", {"lr": 3.0}, 1)
PAC = Case(srq_baselines.pac, "tokens", {"activation_lr": 3.0, "weight_lr": 3.0}, 2)
CASES = {
    "dqc-tokens": DQC,
    "dqc-maps": DQC._replace(kind="maps"),
    "pac-tokens": PAC,
    "pac-maps": PAC._replace(kind="maps"),
}
pytestmark = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def numbers(student: Student) -> list[float]:
    return torch.cat([bound.detach().flatten() for bound in student.bound_parameters()]).tolist()


def test_only_the_bounds_change(case):
    teacher, student = network(case.kind)
    before = {name: v.clone() for name, v in student.network.state_dict().items()}
    whole = {name: v.clone() for name, v in teacher.network.state_dict().items()}
    case.train(student, teacher)
    bounds = {id(bound) for bound in student.bound_parameters()}
    changed = {name for name, p in student.network.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {name for name, p in student.network.named_parameters() if id(p) in bounds}
    assert all(torch.equal(v, whole[name]) for name, v in teacher.network.state_dict().items())
    assert not any(p.requires_grad for p in student.network.parameters())
    assert all(quantizer.enabled for quantizer in student.quantizers.values())


def test_per_channel_bounds_learn_as_well(case):
    teacher, student = network(case.kind)
    name, weight = next(iter(student.weights.items()))
    rows = weight.flatten(1).amin(1) * 0.9, weight.flatten(1).amax(1) * 0.9
    student.quantizers[name].set_bounds(Bounds(*rows))
    case.train(student, teacher)
    assert student.quantizers[name].lower.shape == rows[0].shape
    assert not torch.equal(student.quantizers[name].lower, rows[0])


def test_bounds_stay_ordered_and_finite_at_a_wild_learning_rate(case):
    student, _, figures = case.calibrate(iterations=6, **case.wild)
    for quantizer in student.quantizers.values():
        quantizer.bounds.tensors()
    assert all(math.isfinite(loss) for loss in figures["losses"])


def test_another_seed_gives_other_bounds(case):
    assert numbers(case.calibrate(seed=0)[0]) != numbers(case.calibrate(seed=1)[0])


def test_the_student_comes_nearer_to_the_teacher(case):
    teacher, student = network(case.kind, "2")
    lr = torch.cat(list(islice(supply().random(4, 8), 2)))

    def distance() -> float:
        with torch.no_grad():
            return float((student(lr) - teacher(lr)).abs().mean())

    before = distance()
    figures = case.train(student, teacher, iterations=30, batch=2)
    assert distance() < 0.95 * before
    assert sum(figures["losses"][-5:]) < sum(figures["losses"][:5])


def test_the_figures(case):
    _, _, figures = case.calibrate()
    assert figures["checkpoint"] == "last"
    assert len(figures["losses"]) == 2 * case.phases
    assert (figures["loss_first"], figures["loss_last"]) == (figures["losses"][0], figures["losses"][-1])
