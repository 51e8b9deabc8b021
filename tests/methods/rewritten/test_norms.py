"""LayerNorms that must be left alone: a network computes what it did, whatever reads the norm."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from oracle import images
from srq_baselines import center, repq, smoothquant
from srq_baselines.norms import pairs, shiftable
from torch import nn

from sr_ptq_bench import Batches, Bits, open_network, quantizers_off
from sr_ptq_bench.quantization.quantize import quantize


class Padded(nn.Module):
    """As torchvision's Swin: zeros are padded behind the norm, and tokens attend to them."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.qkv = nn.LayerNorm(3), nn.Linear(3, 9)

    def forward(self, x):
        height, width = x.shape[-2:]
        y = F.pad(self.norm(x.movedim(1, -1)), (0, 0, 0, -width % 7, 0, -height % 7))
        q, k, v = self.qkv(y).flatten(1, 2).chunk(3, -1)
        mixed = (torch.softmax(q @ k.transpose(-1, -2), -1) @ v).view(y.shape)
        return x + mixed[:, :height, :width].movedim(-1, 1)


class OverTokens(nn.Module):
    """The second reader normalises each channel over the tokens: it sees no factor of a channel, but a shift."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.fc = nn.LayerNorm(3), nn.Linear(3, 3)

    def forward(self, x):
        y = self.norm(x.movedim(1, -1))
        k = F.normalize(y.flatten(1, 2), dim=1)
        return (self.fc(y).flatten(1, 2) @ (k.transpose(1, 2) @ k).softmax(-1)).view(y.shape).movedim(-1, 1)


class Mixer(nn.Module):
    """Windows of 8x8: one layer mixes the tokens of a window, one the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.tokens = nn.LayerNorm(3), nn.Linear(64, 64)
        self.last_norm, self.fc = nn.LayerNorm(3), nn.Linear(3, 3)

    def forward(self, x):
        y = F.pixel_unshuffle(x, 8).unflatten(1, (3, 64)).movedim(1, -1).transpose(1, 3)  # (N, w, h, 64, 3)
        y = y + self.tokens(self.norm(y).transpose(-1, -2)).transpose(-1, -2)
        y = y + self.fc(self.last_norm(y))
        return F.pixel_shuffle(y.transpose(1, 3).movedim(-1, 1).flatten(1, 2), 8)


class TwoAxes(nn.Module):
    """A norm over columns and channels, with a weight of two axes."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.fc = nn.LayerNorm((8, 3)), nn.Linear(3, 3)

    def forward(self, x):
        y = x.unflatten(-1, (-1, 8)).movedim(1, -1)
        return x + self.fc(self.norm(y)).movedim(-1, 1).flatten(-2)


def student_of(network: type[nn.Module]):
    torch.manual_seed(0)
    made = network()
    for module in made.modules():
        if isinstance(module, nn.LayerNorm):
            module.bias.data += torch.linspace(1, 3, module.bias.shape[-1])
    return quantize(open_network(made, "n", 1, size_multiple=8), Bits.parse("4"))


def calibration() -> Batches:
    photos = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    return Batches(photos, [photos[0]])


METHODS = {
    "center": lambda student: center.srq_transform_model(student=student, batches=calibration()),
    "repq": lambda student: repq.srq_transform_model(student=student, batches=calibration()),
    "smoothquant": lambda student: smoothquant.srq_transform_model(
        student=student, batches=calibration(), options=smoothquant.Options()
    ),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("network", [Padded, OverTokens, Mixer, TwoAxes])
def test_the_network_computes_what_it_did(network, method):
    student, lr = student_of(network), images(2, 16)
    with torch.no_grad(), quantizers_off(student):
        before = student(lr)
        METHODS[method](student)
        torch.testing.assert_close(student(lr), before, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("network", "factors", "shifts"),
    [(Padded, [["qkv"]], []), (OverTokens, [["fc"]], []), (Mixer, [["fc"]], [["fc"]]), (TwoAxes, [], [])],
)
def test_what_may_move(network, factors, shifts):
    """By the layers that read a norm; the tensors are as before to the last bit."""
    student, lr = student_of(network), images(1, 16)
    before = {name: v.clone() for name, v in student.network.state_dict().items()}
    with torch.no_grad(), quantizers_off(student):
        found = pairs(student, lr)
        assert [pair.names for pair in found] == factors
        assert [pair.names for pair in shiftable(student, lr, found)] == shifts
    assert all(torch.equal(v, before[name]) for name, v in student.network.state_dict().items())
