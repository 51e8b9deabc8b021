"""The distillation loss: by hand, and against 2DQuant's equations in NumPy's float64."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from oracle import images
from training import teacher_and_student

from sr_ptq_bench import distillation_loss

NO_LR = torch.empty(0)


@dataclass
class Says:
    """A network that answers with these tensors, whatever it is asked."""

    output: torch.Tensor
    features: list[torch.Tensor]

    def with_features(self, lr):
        return self.output, self.features


def loss(student: Says, teacher: Says, feature_weight: float) -> float:
    return float(distillation_loss(student, teacher, NO_LR, feature_weight))


def of_features(features, targets) -> float:
    """L_F alone: the outputs are equal."""
    output = torch.zeros(1, 3, 2, 2)
    return loss(Says(output, features), Says(output, targets), 1.0)


def equations(output, target, features, targets, weight) -> float:
    """Eq. 11 to 13, image by image."""
    total = np.abs(output - target).mean()
    for feature, of_teacher in zip(features, targets, strict=True):
        rows = []
        for s, t in zip(feature, of_teacher, strict=True):
            difference = s / np.sqrt((s**2).sum()) - t / np.sqrt((t**2).sum())
            rows.append(np.sqrt((difference**2).sum()) / s.size)
        total += weight * np.mean(rows)
    return total


def test_output_loss_by_hand():
    output = torch.tensor([[[[1.0, 2.0]]], [[[0.0, 5.0]]]])
    target = torch.tensor([[[[0.0, 4.0]]], [[[0.0, 2.0]]]])
    assert loss(Says(output, []), Says(target, []), 5.0) == pytest.approx((1 + 2 + 0 + 3) / 4)


def test_feature_loss_by_hand():
    """Unit vectors (.6, .8) and (.8, .6) are .2 * sqrt 2 apart; CHW is 2."""
    found = of_features([torch.tensor([[3.0, 4.0]])], [torch.tensor([[8.0, 6.0]])])
    assert found == pytest.approx(0.2 * math.sqrt(2) / 2)


def test_feature_loss_is_averaged_over_images_and_summed_over_features():
    student, target = torch.tensor([[3.0, 4.0], [5.0, 0.0]]), torch.tensor([[8.0, 6.0], [0.0, 2.0]])
    one = (0.2 * math.sqrt(2) + math.sqrt(2)) / 2 / 2
    assert of_features([student], [target]) == pytest.approx(one)
    assert of_features([student, student], [target, target]) == pytest.approx(2 * one)


def test_feature_loss_does_not_depend_on_the_size_of_the_features():
    student, target = torch.tensor([[3.0, 4.0], [1.0, 0.5]]), torch.tensor([[8.0, 6.0], [1.0, 1.0]])
    scaled = student * torch.tensor([[7.0], [0.1]])
    assert of_features([scaled], [target]) == pytest.approx(of_features([student], [target]), rel=1e-6)


def test_root_mean_square_is_of_each_image():
    """Errors (3, 4, 0, 0) and (2, 2, 2, 2) have 2.5 and 2."""
    error = torch.tensor([[3.0, 4.0, 0.0, 0.0], [2.0, 2.0, 2.0, 2.0]]).view(2, 1, 2, 2)
    said = Says(error, []), Says(torch.zeros(2, 1, 2, 2), [])
    assert float(distillation_loss(*said, NO_LR, 5.0, root_mean_square=True)) == pytest.approx(2.25)
    assert float(distillation_loss(*said, NO_LR, 5.0)) == pytest.approx(15 / 8)


@pytest.mark.parametrize("root_mean_square", [False, True])
def test_equal_tensors_have_no_loss_and_a_finite_gradient(root_mean_square):
    x = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    own = x.clone().requires_grad_()
    total = distillation_loss(Says(own, [own]), Says(x, [x]), NO_LR, 5.0, root_mean_square)
    total.backward()
    assert float(total.detach()) == pytest.approx(0, abs=1e-7)
    assert bool(torch.isfinite(own.grad).all())


@pytest.mark.parametrize("weight", [0.0, 5.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_networks_have_the_loss_of_the_equations(weight, dtype):
    teacher, student = teacher_and_student()
    for model in (teacher, student):
        model.network.to(dtype)
    lr = images(2, 8).to(dtype)
    with torch.no_grad():
        (output, features), (target, targets) = student.with_features(lr), teacher.with_features(lr)
        found = float(distillation_loss(student, teacher, lr, weight))
    exact = [[v.double().numpy() for v in tensors] for tensors in ([output, target], features, targets)]
    expected = equations(*exact[0], exact[1], exact[2], weight)
    assert len(features) == 2
    assert found == pytest.approx(expected, rel=1e-6 if dtype == torch.float32 else 1e-13)


def test_the_teacher_gets_no_gradient():
    teacher, student = teacher_and_student()
    for model in (teacher, student):
        model.network.requires_grad_()
    distillation_loss(student, teacher, images(2, 8), 5.0).backward()
    assert all(p.grad is None for p in teacher.network.parameters())
    assert any(p.grad is not None for p in student.network.parameters())
