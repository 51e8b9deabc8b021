"""CompSRT: the transform against SciPy's, the levels by hand, and a training that needs more of them than its bits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from oracle import tiny_teacher
from scipy.linalg import hadamard as matrix
from srq_baselines.compsrt import Options, hadamard, search, srq_calibrate, srq_make_quantizer
from training import Forgetful, convolutional_teacher, quiet, supply

from sr_ptq_bench import Bits, Bounds, Site
from sr_ptq_bench.evaluation.levels import counted_levels
from sr_ptq_bench.quantization.quantize import quantize

LINEAR = Site("x", "activation", "linear", -1, layer="linear")


def quantizer(bits=2, lower=-1.0, upper=2.0, site=LINEAR, bounded=False, alpha=0.0, beta=0.0):
    made = srq_make_quantizer(site=site, bits=bits, options=Options(bounded=bounded))
    made.set_bounds(Bounds(lower, upper))
    made.alpha.data.fill_(alpha)
    made.beta.data.fill_(beta)
    return made


@pytest.mark.parametrize("size", [1, 2, 64, 128, 256, 32768])
def test_the_transform(size):
    v = torch.randn(3, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    if size <= 256:
        assert np.allclose(hadamard(v), v.numpy() @ matrix(size) / size**0.5)
    assert torch.allclose(hadamard(hadamard(v)), v)


def test_two_channels_by_hand():
    """(1, 0) is (.707, .707) behind H; levels -1, 0, 1, 2 make it (1, 1), which is (1.414, 0) again."""
    assert torch.allclose(quantizer()(torch.tensor([[1.0, 0.0]])), torch.tensor([[2**0.5, 0.0]]))


@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize(("alpha", "beta"), [(0.0, 0.0), (-0.3, 0.1), (0.2, -0.4)])
def test_the_formula(bounded, alpha, beta):
    """s = (u - l)/n + alpha, Z = l + beta, k = round((clip(v') - Z)/s), on 6 channels padded to 8."""
    v = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    h = matrix(8) / 8**0.5
    s, z = 3 / 3 + alpha, -1 + beta
    k = np.round((np.clip(np.pad(v, ((0, 0), (0, 2))) @ h, -1, 2) - z) / s)
    k = np.clip(k, 0, 3) if bounded else k
    made = quantizer(bounded=bounded, alpha=alpha, beta=beta)
    with torch.no_grad():
        found = made(torch.tensor(v))
    assert np.allclose(found, ((k * s + z) @ h)[:, :6], atol=1e-5)
    assert np.allclose(made.levels_of(found).flatten(), z + s * np.arange(k.min(), k.max() + 1), atol=1e-5)


@pytest.mark.parametrize("width", [0.0, 1e-30, 1e-10])
def test_bounds_that_have_met_leave_countable_levels(width):
    """The step is next to nothing then, and the codes of one value are huge."""
    made = quantizer(lower=0.5, upper=0.5 + width, beta=0.25)
    with torch.no_grad():
        found = made(torch.randn(9, 8, generator=torch.Generator().manual_seed(0)))
    levels = made.levels_of(found)
    assert torch.isfinite(levels).all()
    assert float((levels - 0.5).abs().max()) < 1e-3
    assert 1 <= levels.numel() <= 2**17


@pytest.mark.parametrize(("role", "shape"), [("activation", (2, 3, 5, 4)), ("weight", (7, 3, 3, 3))])
def test_a_convolution_is_transformed_along_its_inputs(role, shape):
    v = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    made = quantizer(8, -9.0, 9.0, Site("x", role, "conv", 1 if role == "activation" else 0, layer="conv"))
    assert made.transformed(v).shape == (*shape[:1], *shape[2:], 4)
    assert torch.allclose(made(v), v, atol=0.1)


def test_gradients_go_to_bounds_step_and_offset():
    """One channel, so H is 1. v = 0.6 is level 1 of -1, 0, 1, 2: d(s k + Z) is 2 by alpha, and 1 by beta."""
    made = quantizer().requires_grad_()
    v = torch.tensor([[0.6], [3.0]], requires_grad=True)
    y = made(v)
    y[0].sum().backward()
    assert (float(made.alpha.grad), float(v.grad[0])) == (pytest.approx(2 - 1.6), 1)
    assert float(made.beta.grad) == pytest.approx(0)  # Z moves all levels, and every value moves to its own
    assert float(v.grad[1]) == 0


def test_dobi_on_what_is_transformed():
    """Against all candidates in a loop, on the tensors themselves."""
    student = quantize(tiny_teacher((1,), channels=8), Bits.parse("2"), lambda *of: srq_make_quantizer(*of, Options()))
    seen = {name: student.quantizers[name].transformed(weight) for name, weight in student.weights.items()}
    search(student, supply())
    for name, v in list(seen.items())[:4]:
        low, high = float(v.min()), float(v.max())
        errors = []
        for i in range(100):
            l, u = low + i * (high - low) / 200, high - i * (high - low) / 200  # noqa: E741
            v_q = torch.round((v.double().clamp(l, u) - l) / ((u - l) / 3)) * ((u - l) / 3) + l
            errors.append(float((v_q - v).square().sum()))
        best = int(np.argmin(errors))
        assert float(student.quantizers[name].lower) == pytest.approx(low + best * (high - low) / 200, abs=1e-5)


@pytest.mark.parametrize("bounded", [False, True])
def test_levels_of_what_is_trained(bounded):
    """Without a bound the training makes more than four levels at 2 bits."""
    teacher = convolutional_teacher()
    options = Options(bounded=bounded, iterations=15, batch=1, patch=8)
    student = quantize(teacher, Bits.parse("2"), lambda *of: srq_make_quantizer(*of, options))
    srq_calibrate(
        student=student,
        teacher=teacher,
        batches=supply(),
        options=options,
        progress=quiet,
        checkpoint=Forgetful(),
    )
    with torch.no_grad(), counted_levels(student) as levels:
        student(next(supply().fixed()))
    assert (max(levels.counts().values()) <= 4) == bounded
    levels.check()


def test_the_training_lowers_the_loss():
    teacher, options = tiny_teacher((1,), channels=8), Options(iterations=40, batch=1, patch=8, lr=3e-3)
    student = quantize(teacher, Bits.parse("3"), lambda *of: srq_make_quantizer(*of, options))
    log = srq_calibrate(
        student=student, teacher=teacher, batches=supply(), options=options, progress=quiet, checkpoint=Forgetful()
    )
    assert sum(log["losses"][-5:]) < 0.9 * sum(log["losses"][:5])
    assert not any(p.requires_grad for p in student.network.parameters())
