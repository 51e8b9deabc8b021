"""AdaRound: its terms written out, its result against all roundings, and kills."""

from __future__ import annotations

import copy
import math
from itertools import product

import numpy as np
import pytest
import torch
from oracle import bounded, quantized
from srq_baselines.adaround import Options, Rounding, penalty, posed, srq_calibrate
from torch import nn
from training import Forgetful, Killed, Memory, convolutional_teacher, quiet, supply, teacher_and_student, with_student

from sr_ptq_bench import Batches, Bits, Bounds, Quantizer, Site, SRModel, Student
from sr_ptq_bench.quantization.quantize import quantize

QUICK = {"preset": "quick", "iterations": 250}


def options(**values) -> Options:
    return Options.parse({**QUICK, **values})


def quantizer(lower=-1.0, upper=1.0, bits=2) -> Quantizer:
    made = Quantizer(Site("w", "weight", "parameter", 0), bits)
    made.set_bounds(Bounds(lower, upper))
    return made


class Two(nn.Module):
    """Two Linear layers at every pixel."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.one, self.two = nn.Linear(3, 4), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.two(self.one(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)


def two() -> tuple[SRModel, Student]:
    """The network and its student with weights of 2 bits and inputs of 8."""
    teacher = SRModel("two", 1, Two().requires_grad_(False), {"one": "image", "two": "linear"}, ())
    student = bounded(teacher, "8", next(supply().fixed()))
    for name in student.weights:
        student.quantizers[name].bits = 2
    return teacher, student


def calibrated(student, checkpoint=None, **values):
    return srq_calibrate(
        student=student,
        batches=supply(),
        options=options(**values),
        progress=quiet,
        checkpoint=checkpoint or Forgetful(),
    )


def test_the_start_is_the_weight_itself_and_nearest():
    w = torch.randn(5, 6, generator=torch.Generator().manual_seed(0)).clamp(-0.9, 0.9)
    rounding = Rounding.of(w, quantizer(bits=3))
    assert torch.allclose(rounding.soft(), w, atol=1e-5)
    assert torch.allclose(rounding.hard(), quantized(w, torch.tensor(-1.0), torch.tensor(1.0), 3), atol=1e-6)


def test_bounds_by_channel_and_clipped_weights():
    w = torch.tensor([[-5.0, 0.1, 5.0], [-1.0, 0.25, 9.0]])
    rounding = Rounding.of(w, quantizer(torch.tensor([-1.0, 0.0]), torch.tensor([2.0, 1.5])))
    assert rounding.hard().tolist() == [[-1, 0, 2], [0, 0.5, 1.5]]


@pytest.mark.parametrize(("iteration", "beta"), [(200, 20.0), (600, 11.0), (999, 2.0)])
def test_the_second_term(iteration, beta):
    """1 - |2 h - 1|^beta; beta is 20 after a fifth of the iterations, and in the middle of the rest halfway to 2."""
    h = torch.tensor([0.0, 0.2, 0.5, 0.9])
    expected = 0.01 * sum(1 - abs(2 * one - 1) ** beta for one in h.tolist())
    assert float(penalty(h, iteration, options(iterations=1000))) == pytest.approx(expected, rel=1e-3)
    assert penalty(h, 199, options(iterations=1000)) == 0


def test_the_error_is_that_of_the_layers_output():
    teacher, student = two()
    student.weights["one.weight"].data.mul_(0.9)  # an earlier layer that has been changed
    reference = copy.deepcopy(two()[1])
    problem = posed(student, reference, supply(), ["two.weight"])["two.weight"]
    (lr,) = supply().fixed()
    first, second = teacher.network.one, teacher.network.two
    x = first(lr.permute(0, 2, 3, 1)).flatten(0, 2)
    of = student.quantizers
    w_1 = of["one.weight"](0.9 * first.weight)
    x_1 = of["one.input"](lr.permute(0, 2, 3, 1).contiguous())
    x_q = of["two.input"](nn.functional.linear(x_1, w_1, first.bias)).flatten(0, 2)
    w_q = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    expected = (x_q @ w_q.T - x @ second.weight.T).square().sum(1)
    assert float(problem.error(w_q)) == pytest.approx(float(expected.mean()), rel=1e-4)
    size = (x @ second.weight.T).square().sum(1).mean()
    assert float(problem.relative(w_q)) == pytest.approx(float(expected.mean() / size), rel=1e-4)


class AddsInPlace(nn.Module):
    """A sum that overwrites the input of its layer, or does not."""

    def __init__(self, in_place: bool) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.one, self.two, self.in_place = nn.Linear(3, 3), nn.Linear(3, 3), in_place

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.one(x.permute(0, 2, 3, 1))
        r = self.two(y)
        y = y.add_(r) if self.in_place else y + r
        return y.permute(0, 3, 1, 2)


def test_a_network_that_adds_in_place_poses_the_same_problems():
    found = []
    for in_place in (False, True):
        teacher = SRModel("sum", 1, AddsInPlace(in_place).requires_grad_(False), {"one": "image", "two": "linear"}, ())
        student = bounded(teacher, "3", next(supply().fixed()))
        found.append(posed(student, quantize(teacher, Bits.parse("3")), supply(), list(student.weights))["two.weight"])
    for one, other in zip(vars(found[0]).values(), vars(found[1]).values(), strict=True):
        assert torch.equal(torch.as_tensor(one), torch.as_tensor(other))


def test_the_best_of_all_roundings():
    """Each row of weights has 2^3 roundings; what is learned takes nearly all that the best of them can take."""
    noise = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    batches = Batches(noise, [])
    _, student = two()
    problem = posed(student, copy.deepcopy(student), batches, ["one.weight"])["one.weight"]
    rounding = Rounding.of(student.weights["one.weight"], student.quantizers["one.weight"])
    nearest = rounding.hard().clone()
    best = nearest.clone()
    for row in range(4):
        for ups in product((0, 1), repeat=3):
            tried = best.clone()
            up = (rounding.below[row] + torch.tensor(ups)).clamp(0, 3)
            tried[row] = (rounding.lower + rounding.step * up)[0]
            if problem.error(tried) < problem.error(best):
                best = tried
    chosen = options(iterations=1000)
    srq_calibrate(student=student, batches=batches, options=chosen, progress=quiet, checkpoint=Forgetful())
    least, learned, start = (float(problem.error(w)) for w in (best, student.weights["one.weight"], nearest))
    assert least <= learned < least + 0.1 * (start - least)


@pytest.mark.parametrize("make", [lambda: teacher_and_student("2"), lambda: with_student(convolutional_teacher(), "2")])
@pytest.mark.parametrize("layers", [1, 3])
def test_outputs_move_less_and_weights_stand_on_levels(make, layers):
    _, student = make()
    bounds = [end.clone() for end in student.bound_parameters()]
    log = calibrated(student, layers=layers, iterations=100)
    assert log["layers"] == len(student.weights)
    assert log["error_learned"] < log["error_nearest"]
    assert all(torch.equal(a, b) for a, b in zip(bounds, student.bound_parameters(), strict=True))
    for name, weight in student.weights.items():
        assert torch.allclose(student.quantizers[name](weight.clone()), weight, atol=1e-6), name
        assert not weight.requires_grad


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("killed", [1, 3, 4, 6])
def test_a_killed_training_continues_bit_for_bit(killed, layers):
    """Three steps of 100, 100 and 50 iterations a layer; kills within a layer, at its end, and within a group."""
    alone, student = two()[1], two()[1]
    expected = calibrated(alone, layers=layers)
    memory = Memory(killed)
    with pytest.raises(Killed):
        calibrated(two()[1], memory, layers=layers)
    assert calibrated(student, memory, layers=layers) == expected
    assert all(torch.equal(student.weights[name], alone.weights[name]) for name in alone.weights)


def test_presets():
    paper, quick = Options.parse({}), Options.parse({"preset": "quick"})
    assert (paper.iterations, paper.lr, paper.layers, paper.reg) == (10_000, 1e-3, 1, 0.01)
    assert (quick.iterations, quick.lr, quick.layers, quick.reg) == (1000, 1e-2, 18, 0.01)


def test_a_network_without_layers():
    teacher = SRModel("two", 1, Two().requires_grad_(False), {}, ())
    assert calibrated(quantize(teacher, Bits.parse("4"))) == {"layers": 0}


def test_math_of_the_rectified_sigmoid():
    rounding = Rounding(torch.tensor([-9.0, 0.0, 1.0, 9.0]), *(torch.zeros(4),) * 3, 3)
    expected = [min(max(1.2 / (1 + math.exp(-v)) - 0.1, 0), 1) for v in (-9, 0, 1, 9)]
    assert rounding.h().tolist() == pytest.approx(expected)
