"""The optimizer of cotrain: Adam as torch has it, Muon against the singular value decomposition."""

from __future__ import annotations

import math

import pytest
import torch
from srq_cotrain.optimizer import AdamAndMuon, newton_schulz, orthogonal


def matrices(*shapes: tuple[int, ...]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator) for shape in shapes]


def test_adam_is_torch_s_adam_at_the_rate_times_the_size():
    ours, theirs = matrices((3, 4), ()), matrices((3, 4), ())
    one = AdamAndMuon([{"params": ours, "sizes": [0.5, 2.0], "lr": 1e-2}])
    other = torch.optim.Adam(
        [{"params": theirs[:1], "lr": 0.5e-2}, {"params": theirs[1:], "lr": 2e-2}], betas=(0.9, 0.999), eps=1e-10
    )
    for step in range(5):
        for p, q in zip(ours, theirs, strict=True):
            p.grad = q.grad = torch.cos(p.detach() * (step + 1))
        one.step()
        other.step()
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q)


def test_a_tensor_that_had_no_gradient_in_some_steps_counts_its_own():
    ours, theirs = matrices((3, 4), (2, 5)), matrices((3, 4), (2, 5))
    one = AdamAndMuon([{"params": ours, "sizes": [1.0, 1.0], "lr": 1e-2}])
    other = torch.optim.Adam(theirs, lr=1e-2, betas=(0.9, 0.999), eps=1e-10)
    for step in range(6):
        for number, (p, q) in enumerate(zip(ours, theirs, strict=True)):
            p.grad = q.grad = None if number == step % 3 == 1 else torch.cos(p.detach() * (step + 1))
        one.step()
        other.step()
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q)


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4)])
def test_newton_schulz_keeps_the_singular_vectors_and_evens_the_values(shape):
    (x,) = matrices(shape)
    u, _, vh = torch.linalg.svd(x, full_matrices=False)
    core = u.mT @ newton_schulz(x[None])[0] @ vh.mT
    assert bool(((core.diagonal() > 0.6) & (core.diagonal() < 1.3)).all())
    assert float((core - core.diagonal().diag()).abs().max()) < 1e-3


@pytest.mark.parametrize("power", [-149, -126, -80, -30, 30, 80, 127])
def test_newton_schulz_does_not_depend_on_the_size_of_the_matrix(power):
    """A momentum fades to such sizes where a layer has no gradient for some hundred steps."""
    x = torch.sign(torch.randn(2, 6, 10, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(newton_schulz(x * 2.0**power), newton_schulz(x))


def test_a_layer_without_a_gradient_for_long_stays_finite():
    weight = torch.nn.Parameter(torch.eye(4))
    optimizer = AdamAndMuon([{"params": [weight], "sizes": [1.0], "lr": 1e-3, "muon": True}])
    for step in range(1000):
        weight.grad = torch.eye(4) if step == 0 else torch.zeros(4, 4)
        optimizer.step()
    assert bool(torch.isfinite(weight).all())


def test_directions_are_of_rms_one_for_layers_of_every_shape():
    found = orthogonal(matrices((8, 8), (8, 2, 3, 3), (4, 12), (8, 8)))
    assert [v.shape for v in found] == [(8, 8), (8, 2, 3, 3), (4, 12), (8, 8)]
    assert all(0.7 < float(v.square().mean().sqrt()) < 1.3 for v in found)


def test_a_direction_does_not_depend_on_the_other_matrices():
    both = matrices((5, 5), (5, 5))
    torch.testing.assert_close(orthogonal(both)[1], orthogonal(both[1:])[0])


def test_a_gradient_of_zero_moves_nothing():
    assert torch.equal(orthogonal([torch.zeros(3, 3)])[0], torch.zeros(3, 3))


def test_a_step_of_muon_has_the_rate_times_the_size():
    (p,) = matrices((6, 6))
    before = p.clone()
    p.grad = matrices((6, 6), (6, 6))[1]
    AdamAndMuon([{"params": [p], "sizes": [2.0], "lr": 0.1, "muon": True}]).step()
    assert float((p - before).square().mean().sqrt()) == pytest.approx(0.2, rel=0.3)
    assert float(((p - before) * p.grad).sum()) < 0
    assert math.isfinite(float(p.sum()))


def test_a_tensor_without_a_gradient_stays():
    p, q = matrices((2, 2), (2, 2))
    p.grad = torch.ones(2, 2)
    before = q.clone()
    AdamAndMuon([{"params": [p, q], "sizes": [1.0, 1.0], "lr": 0.1}]).step()
    assert torch.equal(q, before)
