"""Pac: the losses and the scales of the gradients by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import images
from srq_baselines.pac import (
    Options,
    distillation_loss,
    energy_map,
    feature_loss,
    gradient_scales,
)
from torch import Tensor
from training import (
    network,
)


def options(**values) -> Options:
    return Options.parse(values)


# The loss


def test_an_energy_map_by_hand():
    """Two tokens of two channels: means of squares 12.5 and 0.5."""
    tokens = torch.tensor([[[3.0, 4.0], [1.0, 0.0]]])
    norm = math.hypot(12.5, 0.5)
    assert energy_map(tokens).tolist() == [pytest.approx([12.5 / norm, 0.5 / norm])]


def test_tokens_and_maps_have_the_same_energy_map():
    maps = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    assert energy_map(maps).shape == (2, 20)
    torch.testing.assert_close(energy_map(maps), energy_map(maps.flatten(2).transpose(1, 2)))


def test_feature_loss_by_hand():
    """Energies (9, 16)/2 and (64, 36)/2 are (.49, .87) and (.87, .49) of norm 1; the mean is over all pixels."""
    student, target = torch.tensor([[[3.0, 0.0], [4.0, 0.0]]]), torch.tensor([[[8.0, 0.0], [0.0, 6.0]]])
    one, other = math.hypot(9, 16), math.hypot(64, 36)
    expected = ((9 / one - 64 / other) ** 2 + (16 / one - 36 / other) ** 2) / 2
    assert float(feature_loss([student], [target])) == pytest.approx(expected)
    assert float(feature_loss([student, student], [target, student])) == pytest.approx(expected / 2)
    assert float(feature_loss([student.repeat(3, 1, 1)], [target.repeat(3, 1, 1)])) == pytest.approx(expected)


@settings(max_examples=50, deadline=None)
@given(
    order=st.permutations(range(4)), sign=st.sampled_from([-1.0, 1.0]), size=st.floats(0.1, 10), seed=st.integers(0, 9)
)
def test_what_an_energy_map_does_not_see(order, sign, size, seed):
    """The order of channels, the sign, and the strength of the whole image."""
    feature = torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(energy_map(sign * size * feature[:, order]), energy_map(feature))


@pytest.mark.parametrize("kind", ["tokens", "maps"])
@pytest.mark.parametrize("weight", [0.0, 5.0])
@pytest.mark.parametrize("feature_grad", [True, False])
def test_the_whole_loss_is_the_weighted_sum(kind, weight, feature_grad):
    teacher, student = network(kind)
    lr, chosen = images(2, 8), options(feature_weight=weight, feature_grad=feature_grad)
    with torch.no_grad():
        (output, features), (target, targets) = student.with_features(lr), teacher.with_features(lr)
        expected = (output - target).abs().mean() + weight * feature_loss(features, targets)
        torch.testing.assert_close(distillation_loss(student, teacher, lr, chosen), expected)
    assert float(feature_loss(features, targets)) > 0


def gradients(feature_grad: bool, weight: float) -> Tensor:
    teacher, student = network("tokens")
    bounds = [bound.requires_grad_() for bound in student.bound_parameters()]
    loss = distillation_loss(student, teacher, images(2, 8), options(feature_grad=feature_grad, feature_weight=weight))
    return torch.stack(torch.autograd.grad(loss, bounds))


def test_without_feature_gradient_only_the_pixels_teach():
    pixels = gradients(True, 0.0)
    assert torch.equal(gradients(False, 5.0), pixels)
    assert not torch.allclose(gradients(True, 5.0), pixels, rtol=1e-3)


# The scale of the gradients


def test_gradient_scales_by_hand():
    """Three images of 8x8 pixels; a site's bits and the elements of the whole tensor count, channels or not."""
    student = network("maps", "w2a4")[1]
    sizes = {"first": (5 * 27, 3), "block.0": (6 * 45, 5), "block.2": (5 * 6, 6), "last": (12 * 45, 5)}
    expected = {}
    for name, (weight, channels) in sizes.items():
        expected[f"{name}.weight"] = 1 / math.sqrt(weight * 1)
        expected[f"{name}.input"] = 1 / math.sqrt(3 * channels * 64 * 7)
    assert gradient_scales(student, images(3, 8)) == pytest.approx(expected)


def test_gradient_scales_know_operands_and_leave_no_hooks():
    student = network("tokens")[1]
    scales = gradient_scales(student, images(2, 8))
    assert scales.keys() == student.quantizers.keys()
    prefix = "layers.0.residual_group.blocks.0.attn"
    assert scales[f"{prefix}.attention"] == pytest.approx(1 / math.sqrt(2 * 2 * 64 * 64 * 3))
    assert scales[f"{prefix}.query"] == pytest.approx(1 / math.sqrt(2 * 64 * 8 * 3))
    assert not any(quantizer._forward_pre_hooks for quantizer in student.quantizers.values())
