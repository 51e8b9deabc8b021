"""A weight that a network computes from other parameters counts as the weight that it is."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

from sr_ptq_bench import Bits, SRModel, SrqError
from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.tracing.open_network import open_network


def pruned(layer: nn.Module) -> nn.Module:
    prune.l1_unstructured(layer, "weight", 0.3)
    return layer


HOW = {
    "weight norm": parametrizations.weight_norm,
    "spectral norm": parametrizations.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
    "old weight norm": weight_norm,
    "old spectral norm": spectral_norm,
    "mask": pruned,
}
pytestmark = [
    pytest.mark.parametrize("how", HOW),
    pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning"),
]


class Net(nn.Module):
    def __init__(self, of) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head, self.fc, self.tail = of(nn.Conv2d(3, 4, 1)), of(nn.Linear(4, 4)), nn.Conv2d(4, 12, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.head(x)
        tokens = F.gelu(self.fc(y.flatten(2).transpose(1, 2)))
        return F.pixel_shuffle(self.tail(tokens.transpose(1, 2).reshape(y.shape)), 2)


def test_a_weight_that_is_computed_is_a_weight(how: str) -> None:
    network, x = Net(HOW[how]).eval(), torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = network(x)
        weights = {"fc.weight": network.fc.weight.clone(), "head.weight": network.head.weight.clone()}
    model = open_network(network, "any", 2)
    with torch.no_grad():
        assert torch.equal(model(x), expected)
    student = quantize(model, Bits(weight=4, activation=4))
    layers = ("head", "fc", "tail")
    assert list(student.quantizers) == [f"{layer}.{of}" for layer in layers for of in ("weight", "input")]
    assert all(torch.equal(student.weights[name], weight) for name, weight in weights.items())
    assert model.unquantized_ops == ""


def test_copies_of_a_frozen_layer_are_weights_too(how: str) -> None:
    network = Net(HOW[how]).eval().requires_grad_(False)
    x = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        network(x)  # after which a copy can be made
        network.fc = nn.Sequential(network.fc, copy.deepcopy(network.fc))
        expected = network(x)
        model = open_network(network, "any", 2)
        assert torch.equal(model(x), expected)
    assert [name for name in quantize(model, Bits(weight=4, activation=4)).weights if name.startswith("fc")] == [
        "fc.0.weight",
        "fc.1.weight",
    ]


def test_a_layer_that_a_backbone_names_is_refused(how: str) -> None:
    network = Net(HOW[how]).eval().requires_grad_(False)
    network(torch.rand(1, 3, 8, 8))  # after which a copy can be made
    with pytest.raises(SrqError, match="the weight of layer fc is computed from other parameters; open_network makes"):
        quantize(SRModel("any", 2, network, {"fc": "conv"}, ()), Bits(weight=4, activation=4))
