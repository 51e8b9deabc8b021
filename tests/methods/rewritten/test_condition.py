"""The first part of CondiQuant: its steps where they are known in closed form, and what it promises of a network."""

from __future__ import annotations

import math

import pytest
import torch
from srq_baselines.condition import Options, condition, moved, srq_transform_model
from srq_baselines.layers import input_grams
from training import convolutional_teacher, supply, teacher_and_student, with_student

from sr_ptq_bench.hooks.plugins import Plugins
from sr_ptq_bench.hooks.resolve import resolve_method
from sr_ptq_bench.quantization.student import quantizers_off


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("limit", [0.05, 0.1, 0.2])
def test_two_singular_values_by_hand(limit):
    """X with XᵀX = I: the gradient step leads back to M_0 = diag(3, 1), and 3 - t, 1 + t move it by t sqrt(2/10)."""
    m = condition(torch.diag(torch.tensor([3.0, 1.0], dtype=torch.float64)), torch.eye(2).double(), limit, 5)
    t = 2 ** (-math.ceil(-4 * math.log2(limit / math.sqrt(2 / 10))) / 4)
    assert m.tolist() == [[pytest.approx(3 - t), 0], [0, pytest.approx(1 + t)]]


def test_all_values_become_equal_if_the_limit_allows():
    m = condition(random(6, 4), torch.eye(6).double(), 10.0, 3)
    s = torch.linalg.svdvals(m)
    assert float(s.max() / s.min()) == pytest.approx(1)


def test_what_moved_is_the_output():
    x, m, m0 = random(30, 5), random(5, 4, seed=1), random(5, 4, seed=2)
    assert moved(m, m0, x.T @ x) == pytest.approx(float((x @ (m - m0)).norm() / (x @ m0).norm()))


def test_directions_without_inputs_pay_nothing():
    """Inputs reach two of six directions: the singular values become equal where nothing reads them."""
    x, m0 = random(50, 2) @ random(2, 6, seed=3), random(6, 6, seed=4) * torch.logspace(0, -3, 6).double()
    few = condition(m0, x.T @ x, 0.02, 20)
    before, after = (torch.linalg.cond(m) for m in (m0, few))
    assert after < before / 5
    assert moved(few, m0, x.T @ x) <= 0.02


def test_a_layer_that_reads_zeros():
    m0 = random(3, 2)
    assert torch.equal(condition(m0, torch.zeros(3, 3).double(), 0.02, 5), m0)


@pytest.mark.parametrize("make", [lambda: teacher_and_student("4"), lambda: with_student(convolutional_teacher(), "4")])
def test_outputs_stay_and_condition_numbers_fall(make):
    _, student = make()
    before = {name: weight.detach().clone() for name, weight in student.weights.items()}
    grams = input_grams(student, supply(), "fp")
    with quantizers_off(student):
        srq_transform_model(student=student, batches=supply(), options=Options(limit=0.02))
    for name, weight in student.weights.items():
        old, new = (w.double().flatten(1).T for w in (before[name], weight.detach()))
        assert moved(new, old, grams[name]) <= 0.021
        assert torch.linalg.cond(new) <= torch.linalg.cond(old) * 1.001
    assert any(not torch.equal(weight, before[name]) for name, weight in student.weights.items())


def test_condiquant_is_three_parts():
    assert resolve_method(Plugins(), "condiquant", {}).components == ("condition", "dobi", "dqc")
