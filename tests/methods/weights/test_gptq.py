"""GPTQ against its definition: after each column, the others are the least-squares answer to what is fixed."""

from __future__ import annotations

import pytest
import torch
from srq_baselines.gptq import Options, output_error, second_order, srq_calibrate
from srq_baselines.layers import input_grams
from training import convolutional_teacher, quiet, supply, teacher_and_student, with_student

from sr_ptq_bench import Bounds, Quantizer, Site, quantizers_off


def quantizer(lower=-1.0, upper=1.0, bits: int = 2) -> Quantizer:
    made = Quantizer(Site("w", "weight", "parameter", 0), bits)
    made.set_bounds(Bounds(lower, upper))
    return made


def by_definition(w, h, rounding):
    """Fix column after column; the free ones minimise (w - q) H (w - q)ᵀ, solved in full each time."""
    fixed, columns = torch.zeros_like(w), h.shape[0]
    for j in range(columns):
        best = w[:, j:].clone()
        if j:
            pull = (fixed[:, :j] - w[:, :j]) @ h[:j, j:]
            best = best - torch.linalg.solve(h[j:, j:], pull.T).T
        fixed[:, j] = rounding(best[:, :1].float().contiguous())[:, 0].double()
    return fixed


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("channels", [False, True])
def test_against_the_definition(bits, channels):
    generator = torch.Generator().manual_seed(bits)
    w = torch.randn(5, 7, generator=generator, dtype=torch.float64)
    x = torch.randn(40, 7, generator=generator, dtype=torch.float64) @ torch.randn(
        7, 7, generator=generator, dtype=torch.float64
    )
    gram = x.T @ x
    ends = (w.amin(1).float(), w.amax(1).float()) if channels else (float(w.min()), float(w.max()))
    made = quantizer(*ends, bits=bits)
    damped = gram + 0.01 * gram.diagonal().mean() * torch.eye(7, dtype=torch.float64)
    assert torch.allclose(second_order(w, gram, made, 0.01), by_definition(w, damped, made), atol=1e-12)


def test_two_columns_by_hand():
    # Levels -1, -1/3, 1/3, 1. H = [[2, 1], [1, 2]], hardly damped. 0.5 is rounded to 1/3; the second column takes over
    # (0.5 - 1/3) * 1/2 = 1/12: 0.6 + 1/12 = 0.683 is nearer to 1 than to 1/3, while 0.6 is nearer to 1/3.
    gram = torch.tensor([[2.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
    w = torch.tensor([[0.5, 0.6]], dtype=torch.float64)
    assert second_order(w, gram, quantizer(), 1e-9)[0].tolist() == pytest.approx([1 / 3, 1.0])
    assert quantizer()(w.float())[0].tolist() == pytest.approx([1 / 3, 1 / 3])


def test_inputs_without_correlation_round_to_nearest():
    w = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    made = quantizer()
    nearest = made(w.float()).double()
    assert torch.equal(second_order(w, torch.eye(6, dtype=torch.float64), made, 0.01), nearest)


def test_inputs_that_are_always_zero():
    w = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    zero = torch.zeros(6, 6, dtype=torch.float64)
    assert torch.equal(second_order(w, zero, quantizer(), 0.01), quantizer()(w.float()).double())
    assert output_error(w, w + 1, zero) == 0


@pytest.mark.parametrize("inputs", ["quantized", "fp"])
def test_a_convolution_is_its_unfolded_matrix(inputs):
    teacher, student = with_student(convolutional_teacher(), "4")
    grams = input_grams(student, supply(), inputs)
    assert grams.keys() == student.weights.keys()
    (lr,) = supply().fixed()
    x = lr if inputs == "fp" else student.quantizers["first.input"](lr.clone())
    layer = teacher.network.first
    output = torch.nn.functional.conv2d(x, layer.weight, None, padding=1).double().square().sum((0, 2, 3))
    flat = layer.weight.double().flatten(1)
    assert torch.allclose(((flat @ grams["first.weight"]) * flat).sum(1), output, rtol=1e-5)


@pytest.mark.parametrize("make", [lambda: teacher_and_student("2"), lambda: with_student(convolutional_teacher(), "2")])
@pytest.mark.parametrize("inputs", ["quantized", "fp"])
def test_the_layers_outputs_move_less(make, inputs):
    teacher, student = make()
    bounds = [end.clone() for end in student.bound_parameters()]
    log = srq_calibrate(student, supply(), Options(inputs=inputs), quiet)
    assert log["layers"] == len(student.weights)
    assert log["error_gptq"] < log["error_nearest"]
    assert all(torch.equal(a, b) for a, b in zip(bounds, student.bound_parameters(), strict=True))
    for name, weight in student.weights.items():  # they stand on levels, so quantizing changes nothing more
        assert torch.allclose(student.quantizers[name](weight.clone()), weight, atol=1e-6), name
    with torch.no_grad(), quantizers_off(student):
        assert not torch.equal(student(next(supply().fixed())), teacher(next(supply().fixed())))


def test_the_same_run_gives_the_same_weights():
    first, second = (teacher_and_student("3")[1] for _ in range(2))
    for student in (first, second):
        srq_calibrate(student, supply(), Options(), quiet)
    assert all(torch.equal(first.weights[name], second.weights[name]) for name in first.weights)
