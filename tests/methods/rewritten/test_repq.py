"""RepQ-ViT: its rewriting by hand, and a network that computes what it did."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from oracle import images, squared_errors, tiny_teacher
from srq_baselines.repq import (
    PERCENTILES,
    Options,
    best_percentile,
    log_bounds,
    rewriting,
    srq_init_bounds,
    srq_make_quantizer,
    srq_transform_model,
)

from sr_ptq_bench import Batches, Bits, Distribution, LogSqrt2Quantizer, Site
from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.quantization.student import quantizers_off

SOFTMAX = Site("attention", "activation", "softmax")


def test_rewriting_by_hand():
    """2 bits: steps 1 and 3, zero points 1 and 2, means 2 and 1.5; every channel then spans -3 to 3."""
    lower, upper = torch.tensor([-1.0, -6.0]), torch.tensor([2.0, 3.0])
    factors, shifts = rewriting(lower, upper, 2)
    assert factors.tolist() == [0.5, 1.5]
    assert shifts.tolist() == [-0.5, 1.5]
    assert ((lower + shifts) / factors).tolist() == [-3, -3]
    assert ((upper + shifts) / factors).tolist() == [3, 3]


def test_a_constant_channel_changes_nothing_for_the_others():
    """It moves to the lower end of the others; alone it would have a step of zero."""
    lower, upper = torch.tensor([-1.0, -6.0, 0.7]), torch.tensor([2.0, 3.0, 0.7])
    factors, shifts = rewriting(lower, upper, 2)
    assert factors.tolist() == [0.5, 1.5, 1.0]
    assert shifts[:2].tolist() == [-0.5, 1.5]
    assert ((lower + shifts) / factors).tolist() == pytest.approx([-3, -3, -3])


def test_norms_that_are_constant_are_not_rewritten():
    factors, shifts = rewriting(torch.tensor([0.2, 0.0]), torch.tensor([0.2, 0.0]), 4)
    assert (factors.tolist(), shifts.tolist()) == ([1, 1], [0, 0])


def test_the_network_computes_the_same_and_its_channels_become_alike():
    photo = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    batches = Batches(np.stack([photo[:16, :16], photo[16:, 16:]]), [photo])
    teacher = tiny_teacher()
    student = quantize(teacher, Bits.parse("4"))
    site = "layers.0.residual_group.blocks.1.mlp.fc1.input"
    spreads = []
    for _ in range(2):
        seen = []
        handle = student.quantizers[site].register_forward_pre_hook(
            lambda _m, inputs, seen=seen: seen.append(inputs[0].flatten(0, -2))
        )
        with torch.no_grad(), quantizers_off(student):
            student(next(iter(batches.fixed(2))))
            handle.remove()
            spreads.append(seen[0].quantile(0.999, 0) - seen[0].quantile(0.001, 0))
            if len(spreads) == 1:
                srq_transform_model(student=student, batches=batches)
    before, after = (float(spread.max() / spread.min()) for spread in spreads)
    assert after < 1.1 < before
    with torch.no_grad(), quantizers_off(student):
        assert torch.allclose(student(images(1, 16)), teacher(images(1, 16)), atol=1e-4)


@pytest.mark.parametrize("bits", [2, 4])
def test_the_best_percentile_quantizes_best(bits):
    v = torch.cat([torch.randn(50_000, generator=torch.Generator().manual_seed(0)), torch.tensor([30.0, -30.0])])
    distribution = Distribution.of_tensor(v)
    ends = [(distribution.quantile(1 - p), distribution.quantile(p)) for p in PERCENTILES]
    errors = squared_errors(v, *zip(*ends, strict=True), bits)
    assert best_percentile(distribution, bits) == ends[int(errors.argmin())]


def test_log_bounds_by_brute_force():
    v = torch.softmax(3 * torch.randn(600, 64, generator=torch.Generator().manual_seed(0)), -1).flatten()
    distribution = Distribution.of_tensor(v)
    errors = []
    for p in PERCENTILES:
        u = distribution.quantile(p)
        k = np.round(-2 * np.log2(v.double().numpy() / u)).clip(0, 7)
        errors.append(((np.where(k == 7, 0, u * 2 ** (-k / 2)) - v.double().numpy()) ** 2).sum())
    assert log_bounds(distribution, 3, True).upper == distribution.quantile(PERCENTILES[int(np.argmin(errors))])


@pytest.mark.parametrize(("zero", "share"), [(True, 0.0), (False, 2**-1.5)])
def test_the_last_level(zero, share):
    v = Distribution.of_tensor(torch.rand(500, generator=torch.Generator().manual_seed(0)))
    bounds = srq_init_bounds(site=SOFTMAX, distribution=v, bits=2, options=Options(zero=zero))
    assert bounds.lower == pytest.approx(share * bounds.upper)


def test_kinds():
    assert isinstance(srq_make_quantizer(site=SOFTMAX, bits=4), LogSqrt2Quantizer)
    assert srq_make_quantizer(site=Site("q", "activation", "query"), bits=4) is None


def test_a_weight_has_bounds_by_channel():
    v = torch.randn(6, 40, generator=torch.Generator().manual_seed(0))
    site = Site("fc.weight", "weight", "parameter", 0, layer="linear")
    bounds = srq_init_bounds(site=site, distribution=Distribution.of_tensor(v, 0), bits=4, options=Options())
    expected = [best_percentile(Distribution.of_tensor(row), 4) for row in v]
    assert torch.stack(bounds.tensors(), 1).tolist() == [pytest.approx(pair) for pair in expected]
