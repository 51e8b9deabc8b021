"""torch's fast path of a transformer layer reads weights without a call of the layers; a student never takes it."""

from __future__ import annotations

import copy

import torch
from oracle import images
from torch import nn

from sr_ptq_bench import Bits, Bounds, open_network
from sr_ptq_bench.quantization.quantize import quantize


class Encoder(nn.Module):
    """Two layers of torch over the pixels of an image."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        layers = [nn.TransformerEncoderLayer(8, 2, 16, batch_first=True) for _ in range(2)]
        self.first, self.layers, self.last = nn.Linear(3, 8), nn.Sequential(*layers), nn.Linear(8, 3)

    def forward(self, x):
        tokens = self.layers(self.first(x.flatten(2).mT))
        return self.last(tokens).mT.view(x.shape)


def test_every_quantizer_runs_without_gradients_too():
    student = quantize(open_network(Encoder().eval().requires_grad_(False), "encoder", 1), Bits.parse("2"))
    called: set[str] = set()
    for name, quantizer in student.quantizers.items():
        quantizer.set_bounds(Bounds(-1.0, 1.0))
        quantizer.quantize = lambda v, of=quantizer, name=name: (called.add(name), type(of).quantize(of, v))[1]
    assert {"layers.0.linear1.input", "layers.1.linear2.weight"} <= set(student.quantizers)
    with torch.no_grad():
        student(images(1, 8))
    assert called == set(student.quantizers)


def test_a_copy_takes_none_either():
    student = quantize(open_network(Encoder().eval().requires_grad_(False), "encoder", 1), Bits.parse("2"))
    for quantizer in student.quantizers.values():
        quantizer.set_bounds(Bounds(-1.0, 1.0))
    again, lr = copy.deepcopy(student), images(1, 8)
    with torch.enable_grad():
        expected = student(lr.requires_grad_()).detach()
    with torch.inference_mode():
        torch.testing.assert_close(again(lr.detach()), expected, rtol=1e-5, atol=1e-6)
