"""PTQ4ViT: its search against brute force, and its gradients where they are known in closed form."""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace

import pytest
import torch
from oracle import quantized
from srq_baselines.ptq4vit import (
    Options,
    _layer,
    candidates,
    choose,
    observe,
    srq_calibrate,
    srq_init_bounds,
    srq_make_quantizer,
)
from torch import nn
from training import convolutional_teacher, quiet, supply, teacher_and_student, with_student

from sr_ptq_bench import Bits, Bounds, Distribution, Operand, Quantizer, Site, SRModel, TwinUniformQuantizer
from sr_ptq_bench.quantization.quantize import quantize

QUICK = Options(points=7, rounds=1, rows=64, patch=8)


def quantizer(kind="linear", lower=-1.0, upper=1.0, bits=2) -> Quantizer:
    site = Site("x", "activation", kind, -1)
    made = srq_make_quantizer(site=site, bits=bits) or Quantizer(site, bits)
    made.set_bounds(Bounds(lower, upper))
    return made


@pytest.mark.parametrize(("kind", "twin"), [("softmax", True), ("gelu", True), ("linear", False), ("query", False)])
def test_two_ranges_after_softmax_and_gelu(kind, twin):
    assert isinstance(quantizer(kind), TwinUniformQuantizer) == twin


@pytest.mark.parametrize(("kind", "bounds"), [("softmax", (0, 0.75)), ("gelu", (0.25, 0.75)), ("linear", (0.25, 0.75))])
def test_the_search_starts_from_the_whole_range(kind, bounds):
    found = srq_init_bounds(
        site=Site("x", "activation", kind), distribution=Distribution.of_tensor(torch.tensor([0.25, 0.75]))
    )
    assert (found.lower, found.upper) == bounds


def test_candidates_by_hand():
    chosen = Options(points=3, least=0.5, most=1.5)
    assert candidates(quantizer("linear", -1, 2), chosen) == [(s * -1, s * 2, None) for s in (0.5, 1.0, 1.5)]
    assert candidates(quantizer("gelu", -0.25, 2), chosen) == [(-0.25, s * 2, None) for s in (0.5, 1.0, 1.5)]
    assert candidates(quantizer("softmax", 0, 0.5), chosen) == [(0, 0.5, 0.5 * 2.0**-i) for i in range(20)]


def test_where_the_ranges_meet_by_hand():
    """2 bits: 0, the middle, and 1. Only the middle 1/8 fits all values."""
    v = torch.tensor([0.0, 0.125, 0.125, 1.0])
    made = quantizer("softmax", 0, 1)
    assert choose(made, candidates(made, Options()), v, lambda v_q: float((v_q - v).square().sum())) == 0
    assert float(made.middle) == 0.125


def test_the_error_is_weighted_by_the_squared_gradient():
    """Weights 0.5 and 1: the range up to 0.5 has the first as a level, the range up to 1 only the second."""
    errors = {}
    for weights in ([1.0, 0.0], [0.0, 1.0]):
        of_weight, of_input = quantizer(bits=8), quantizer(bits=8)
        student = SimpleNamespace(
            quantizers={"fc.weight": of_weight, "fc.input": of_input},
            weights={"fc.weight": torch.tensor([[0.5], [1.0]])},
        )
        chosen = Options(points=2, least=0.5, most=1.0, rounds=1)
        _layer(student, "fc.weight", torch.tensor([[1.0]]), torch.tensor([weights]), chosen)
        errors[weights[0]] = float(of_weight.upper)
    assert errors == {1.0: 0.5, 0.0: 1.0}


@pytest.mark.parametrize("bits", [2, 4])
def test_a_layer_against_brute_force(bits):
    generator = torch.Generator().manual_seed(bits)
    x, w = torch.randn(30, 5, generator=generator), torch.randn(4, 5, generator=generator)
    squared_gradient = torch.rand(30, 4, generator=generator)
    ends = {"x": (x.min(), x.max()), "w": (w.min(), w.max())}
    scales = torch.linspace(0.01, 1.2, 40)
    best = {"x": torch.tensor(1.0), "w": torch.tensor(1.0)}

    def error(s_x, s_w):
        x_q = quantized(x, s_x * ends["x"][0], s_x * ends["x"][1], bits)
        w_q = quantized(w, s_w * ends["w"][0], s_w * ends["w"][1], bits)
        return float((((x_q @ w_q.T) - x @ w.T) ** 2 * squared_gradient).sum())

    for _ in range(2):
        best["w"] = min(scales, key=lambda s: error(best["x"], s))
        best["x"] = min(scales, key=lambda s: error(s, best["w"]))
    of_weight, of_input = (quantizer("linear", *map(float, ends[key]), bits) for key in "wx")
    student = SimpleNamespace(quantizers={"fc.weight": of_weight, "fc.input": of_input}, weights={"fc.weight": w})
    _, end = _layer(student, "fc.weight", x, squared_gradient, Options(points=40, rounds=2))
    assert float(of_weight.upper) == pytest.approx(float(best["w"] * ends["w"][1]))
    assert float(of_input.upper) == pytest.approx(float(best["x"] * ends["x"][1]))
    assert end == pytest.approx(
        error(**{f"s_{k}": s for k, s in best.items()}) / float(((x @ w.T) ** 2 * squared_gradient).sum()), rel=1e-4
    )


class Two(nn.Module):
    """Two Linear layers at every pixel."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two = nn.Linear(3, 4), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.two(self.one(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)


def test_the_gradients_of_two_linear_layers():
    """d(v . W o)/do = Wᵀ v, for one of the eight v of three signs."""
    network = Two().requires_grad_(False)
    student = quantize(SRModel("two", 1, network, {"one": "image", "two": "linear"}, ()), Bits.parse("4"))
    seen = observe(student, supply(), QUICK)
    possible = torch.stack([(network.two.weight.T @ torch.tensor(v)).square() for v in product((-1.0, 1.0), repeat=3)])
    x, g = seen["one.weight"]
    assert x.shape == (64, 3)
    assert all(any(torch.allclose(row, one, atol=1e-6) for one in possible) for row in g)
    assert torch.allclose(seen["two.weight"][1], torch.ones(64, 3))
    pixels = next(supply().fixed()).permute(0, 2, 3, 1).flatten(0, 2)
    assert all(any(torch.equal(row, pixel) for pixel in pixels) for row in x)


@pytest.mark.parametrize("make", [lambda: teacher_and_student("3"), lambda: with_student(convolutional_teacher(), "3")])
def test_the_error_goes_down_and_equal_runs_are_equal(make):
    runs = []
    for _ in range(2):
        _, student = make()
        log = srq_calibrate(student=student, batches=supply(), options=QUICK, progress=quiet)
        runs.append((log, [bound.tolist() for bound in student.bound_parameters()]))
    assert runs[0] == runs[1]
    assert runs[0][0]["error_end"] < runs[0][0]["error_start"]


class ReadTwice(nn.Module):
    """The product reads x through its quantizer, the sum without: an error of the site never meets the sum."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k = Operand("query"), Operand("key")
        self.m = nn.Parameter(torch.diag(torch.tensor([0.5, 1.0, 2.0])))

    def forward(self, x):
        rows = x.movedim(1, -1)
        return (self.q(rows) @ self.k(self.m) + 10 * rows).movedim(-1, 1)


def test_the_gradient_of_an_operand_is_that_of_its_product():
    """M_ii^2, and not (M_ii + 10)^2."""
    student = quantize(SRModel("twice", 1, ReadTwice().requires_grad_(False), {}, ()), Bits.parse("4"))
    _, squared = observe(student, supply(), QUICK)["q"]
    assert sorted(squared.unique().tolist()) == pytest.approx([0.25, 1.0, 4.0], rel=1e-5)
