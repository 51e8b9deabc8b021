"""Layers as matrices: which layers read a weight, and what methods do with a weight that two layers share."""

from __future__ import annotations

import pytest
import torch
from oracle import images
from srq_baselines import adaround, gptq, ptq4vit
from srq_baselines.correction import correct_layers
from srq_baselines.layers import input_grams, input_rows, layers, output_rows, own_layers
from srq_cotrain import latent
from torch import nn
from training import Forgetful, quiet, supply

from sr_ptq_bench import Bits, Bounds, SRModel, quantizers_off
from sr_ptq_bench.quantization.quantize import quantize

TO_A, TO_B = torch.tensor([1.0, 0.05, 0.05]), torch.tensor([0.05, 1.0, 1.0])


class Tied(nn.Module):
    """Two layers of one weight; the second sees mainly the channels that the first does not."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.own = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3)
        self.b.weight = self.a.weight

    def forward(self, x):
        rows = x.movedim(1, -1)
        return self.own(self.a(rows * TO_A) + 10 * self.b(rows * TO_B)).movedim(-1, 1)


def student():
    kinds = dict.fromkeys(("a", "b", "own"), "other")
    made = quantize(SRModel("tied", 1, Tied().requires_grad_(False), kinds, ()), Bits.parse("2"))
    for quantizer in made.quantizers.values():
        quantizer.set_bounds(Bounds(-0.6, 0.6) if quantizer.site.role == "weight" else Bounds(0.0, 1.0))
    return made


def rows(scale):
    return torch.cat(list(supply().fixed())).movedim(1, -1).reshape(-1, 3).double() * scale.double()


def test_a_weight_has_all_layers_that_read_it():
    made = student()
    found = {name: [at.site for at in of] for name, of in layers(made).items()}
    assert found == {"a.weight": ["a.input", "b.input"], "own.weight": ["own.input"]}
    assert list(own_layers(made)) == ["own.weight"]
    assert all(at.layer.weight is made.weights[name] for name, of in layers(made).items() for at in of)


def test_the_gram_of_a_shared_weight_is_that_of_both_inputs():
    made = student()
    gram = input_grams(made, supply(), "fp")["a.weight"]
    a, b = rows(TO_A), rows(TO_B)
    torch.testing.assert_close(gram, a.T @ a + b.T @ b, rtol=1e-6, atol=1e-6)


def error(made, w):
    """Of both layers' outputs together, in full precision."""
    moved = made.weights["a.weight"].detach().double() - w
    return sum(float((x @ moved.T).square().sum()) for x in (rows(TO_A), rows(TO_B)))


@pytest.mark.parametrize("method", ["gptq", "adaround"])
def test_rounding_is_no_worse_for_both_layers_together(method):
    made = student()
    for site in ("a.input", "b.input"):
        made.quantizers[site].enabled = False
    w = made.weights["a.weight"].detach().double()
    rounded = student()
    with torch.no_grad():
        weight = rounded.weights["a.weight"]
        weight.copy_(rounded.quantizers["a.weight"](weight.clone()))
    if method == "gptq":
        gptq.srq_calibrate(student=made, batches=supply(), options=gptq.Options(), progress=quiet)
    else:
        options = adaround.Options(preset="quick", iterations=300)
        adaround.srq_calibrate(student=made, batches=supply(), options=options, progress=quiet, checkpoint=Forgetful())
    assert error(made, w) <= error(rounded, w)


def test_a_correction_leaves_a_shared_weight():
    made, before = student(), student()
    with quantizers_off(made):
        correct_layers(made, supply(), 1e-3)
    assert torch.equal(made.weights["a.weight"], before.weights["a.weight"])
    assert torch.equal(made.network.b.layer.bias, before.network.b.layer.bias)
    assert not torch.equal(made.weights["own.weight"], before.weights["own.weight"])


def test_ptq4vit_searches_a_shared_weight_by_its_own_error():
    made = student()
    seen = ptq4vit.observe(made, supply(), ptq4vit.Options(patch=8))
    assert set(seen) == {"a.weight", "a.input", "b.input", "own.weight"}
    x, squared_gradient = seen["a.weight"]
    assert torch.equal(x, made.weights["a.weight"].detach().reshape(-1, 1))
    assert torch.equal(squared_gradient, torch.ones_like(x))


def test_cotrain_trains_the_biases_of_both():
    made = student()
    trained = [sized.tensor for sized in latent.shifts(made)]
    biases = [made.network.a.layer.bias, made.network.b.layer.bias, made.network.own.layer.bias]
    assert [id(tensor) for tensor in trained] == [id(bias) for bias in biases]


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv2d(4, 5, (2, 3), padding="same", dilation=(2, 1)),
        nn.Conv2d(4, 5, 3, padding="valid"),
        nn.Conv2d(4, 5, 3, padding="same", padding_mode="reflect"),
        nn.Conv2d(4, 5, 3, stride=2, padding=(0, 1)),
    ],
)
def test_rows_of_a_convolution_give_its_output(convolution):
    x = torch.cat([images(2, 9), images(2, 9)[:, :1]], 1)
    y = convolution(x) - convolution.bias.view(1, -1, 1, 1)
    ours = input_rows(x, convolution) @ convolution.weight.flatten(1).T
    torch.testing.assert_close(ours, output_rows(y, convolution), rtol=1e-5, atol=1e-5)


def test_a_convolution_with_named_padding_is_one_of_the_layers():
    network = nn.Sequential(nn.Conv2d(3, 3, 3, padding="same")).requires_grad_(False)
    made = quantize(SRModel("same", 1, network, {"0": "image"}, ()), Bits.parse("4"))
    assert list(own_layers(made)) == ["0.weight"]
