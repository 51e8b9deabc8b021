"""What errors cost at the output, on networks whose Jacobian is known."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sr_ptq_bench import Bits, SRModel, quantizers_off
from sr_ptq_bench.quantization.costs import LazyCosts, first_sites, output_costs
from sr_ptq_bench.quantization.observe import observe
from sr_ptq_bench.quantization.quantize import quantize


class PerPixel(nn.Module):
    """One Linear layer per pixel, from 3 values to the 12 of a pixel of x2."""

    def __init__(self, matrix: torch.Tensor, layers: int = 1) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(3, 12, bias=False) for _ in range(layers))
        for layer in self.layers:
            layer.weight.data.copy_(matrix)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.movedim(1, -1)
        total = sum(layer(rows) for layer in self.layers)
        return nn.functional.pixel_shuffle(total.movedim(-1, 1), 2)


MATRIX = torch.zeros(12, 3)
MATRIX[0, 0], MATRIX[5, 1], MATRIX[7, 2] = 2.0, 3.0, 0.5


def student(matrix=MATRIX, layers=1):
    network = PerPixel(matrix, layers).requires_grad_(False)
    kinds = dict.fromkeys((f"layers.{index}" for index in range(layers)), "image")
    return quantize(SRModel("pixels", 2, network, kinds, ()), Bits(weight=4, activation=4))


def costs_of(made, *batches, seed=0):
    seen = observe(made, lambda: batches)
    return seen, output_costs(made, lambda: batches, seen, seed)


def image(*channels):
    return torch.tensor(channels).view(1, 3, 1, 1)


def at(distribution, costs, value):
    """The cost of a value."""
    return float(costs[(distribution.values - value).abs().argmin()])


@pytest.mark.parametrize("seed", [0, 1])
def test_inputs_that_reach_one_output_each_cost_the_square_of_their_weight(seed):
    """c_i = sum_o W_oi^2 is exact for any signs, because no two terms meet: 4, 9 and 1/4."""
    seen, costs = costs_of(student(), image(0.0, 0.5, 1.0), seed=seed)
    found = costs["layers.0.input"]
    values = [at(seen["layers.0.input"], found, value) for value in (0.0, 0.5, 1.0)]
    assert values == pytest.approx([4.0, 9.0, 0.25], rel=1e-6)
    assert float(found.sum()) == pytest.approx(13.25, rel=1e-6), "bins without elements cost nothing"


def test_the_weights_of_a_pixel_cost_the_square_of_their_input():
    """dy_o/dW_oi = x_i. Zeros are 11 of 12 weights of each input: (11 * (0.04 + 0.25 + 1)) / 33."""
    seen, costs = costs_of(student(), image(0.2, 0.5, 1.0))
    distribution, found = seen["layers.0.weight"], costs["layers.0.weight"]
    assert distribution.values.tolist() == [0.0, 0.5, 2.0, 3.0]
    assert found.tolist() == pytest.approx([1.29 / 3, 1.0, 0.04, 0.25], rel=1e-6)


def test_costs_are_means_over_patches():
    """Weights: the mean of x_i^2 over patches, and not the square of the sum, so each patch is taken alone."""
    one, other = image(0.2, 0.5, 1.0), image(0.4, 0.5, 0.0)
    for batches in ([torch.cat([one, other])], [one, other]):
        seen, costs = costs_of(student(), *batches)
        assert at(seen["layers.0.weight"], costs["layers.0.weight"], 2.0) == pytest.approx((0.04 + 0.16) / 2, rel=1e-6)


def test_over_many_signs_the_mean_is_the_diagonal_of_the_gauss_newton_matrix():
    matrix = torch.randn(12, 3, generator=torch.Generator().manual_seed(3))
    made, patch = student(matrix), image(0.1, 0.37, 0.9)
    total = torch.zeros(3)
    for seed in range(400):
        seen, costs = costs_of(made, patch, seed=seed)
        total += torch.tensor([at(seen["layers.0.input"], costs["layers.0.input"], v) for v in (0.1, 0.37, 0.9)])
    assert total / 400 == pytest.approx(matrix.square().sum(0), rel=0.2)


def test_sites_that_read_one_tensor_share_their_cost():
    """Two equal layers on one input: an error of it passes through both, (2 + 2)^2 = 16."""
    made = student(layers=2)
    seen, costs = costs_of(made, image(0.0, 0.5, 1.0))
    first = first_sites(seen)
    assert first["layers.1.input"] == "layers.0.input"
    assert costs.keys() == {"layers.0.weight", "layers.0.input", "layers.1.weight"}
    assert at(seen["layers.0.input"], costs["layers.0.input"], 0.0) == pytest.approx(16.0, rel=1e-6)


class Residual(nn.Module):
    """y = x + W x of one pixel: the sum reads what the layer reads, but not what its quantizer makes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3, bias=False)
        self.layer.weight.data.copy_(torch.diag(torch.tensor([-0.9, 0.1, 2.0])))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.movedim(1, -1)
        return (rows + self.layer(rows)).movedim(-1, 1)


def test_what_others_read_costs_nothing():
    """An error of the layer's input costs W_ii^2; with the sum it would cost (1 + W_ii)^2."""
    made = quantize(SRModel("residual", 1, Residual().requires_grad_(False), {"layer": "image"}, ()), Bits.parse("4"))
    patch = image(0.0, 0.5, 1.0)
    seen, costs = costs_of(made, patch)
    values = [at(seen["layer.input"], costs["layer.input"], value) for value in (0.0, 0.5, 1.0)]
    assert values == pytest.approx([0.81, 0.01, 4.0], rel=1e-5)
    with quantizers_off(made):
        for channel, expected in enumerate((0.81, 0.01, 4.0)):
            error = torch.zeros(3)
            error[channel] = 0.01
            handle = made.quantizers["layer.input"].register_forward_hook(lambda _m, _x, v, error=error: v + error)
            wrong = made(patch)
            handle.remove()
            assert float((wrong - made(patch)).square().sum() / 1e-4) == pytest.approx(expected, rel=1e-3)


def test_the_student_is_as_before():
    made = student()
    costs_of(made, image(0.0, 0.5, 1.0))
    assert not any(p.requires_grad or p.grad is not None for p in made.network.parameters())
    assert all(quantizer.enabled and not quantizer._forward_hooks for quantizer in made.quantizers.values())


def test_the_same_patches_give_the_same_costs():
    (_, one), (_, other) = (costs_of(student(), torch.rand(2, 3, 6, 6, generator=_seeded())) for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)


def _seeded():
    return torch.Generator().manual_seed(5)


def test_costs_are_made_once_and_only_if_somebody_asks():
    seen, made = observe(student(layers=2), lambda: [image(0.0, 0.5, 1.0)]), []

    def make():
        made.append(1)
        return dict.fromkeys(first_sites(seen).values(), torch.ones(2))

    costs = LazyCosts(seen, make)
    assert made == []
    costs.of("layers.0.input").zero_()  # a method may change what it gets
    assert costs.of("layers.1.input").tolist() == [1, 1]
    assert made == [1]
