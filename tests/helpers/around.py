"""An upscaler around any function of its tokens, for tests of products."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from oracle import quantized
from torch import Tensor, nn

from sr_ptq_bench.protocol.bits import Bits
from sr_ptq_bench.quantization.network import SRModel
from sr_ptq_bench.quantization.quantizer import Bounds
from sr_ptq_bench.quantization.student import Student
from sr_ptq_bench.tracing.open_network import open_network

W4A4 = Bits(weight=4, activation=4)
LOWER, UPPER = torch.tensor(-0.3), torch.tensor(0.4)


class Around(nn.Module):
    """An upscaler around a function of the tokens (N, HW, 4) that a convolution makes."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head, self.inner, self.tail = nn.Conv2d(3, 4, 1), inner, nn.Conv2d(4, 12, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.head(x)
        tokens = self.inner(y.flatten(2).transpose(1, 2))
        return F.pixel_shuffle(self.tail(tokens.transpose(1, 2).reshape(y.shape)), 2)


class Of(nn.Module):
    """A module of one function, with a matrix as its parameter."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function
        self.matrix = nn.Parameter(torch.linspace(-1, 1, 16).view(4, 4))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def model_of(function, scope="all") -> SRModel:
    return open_network(Around(Of(function)), "any", 2, scope=scope)


def with_bounds(student: Student) -> Student:
    for quantizer in student.quantizers.values():
        quantizer.set_bounds(Bounds(LOWER, UPPER))
    return student


def q(v: Tensor) -> Tensor:
    return quantized(v, LOWER, UPPER, 4)


def mixing(x: Tensor) -> Tensor:
    """(N, L, 4) -> (N, 4, 4)."""
    return x.transpose(1, 2) @ x / x.shape[1]


def mixed(_module: nn.Module, x: Tensor) -> Tensor:
    """One product after another."""
    return x @ mixing(x)


def attend(_module: nn.Module, x: Tensor, **options) -> Tensor:
    """A fused attention of two heads."""
    heads = x.view(*x.shape[:2], 2, 2).transpose(1, 2)
    y = F.scaled_dot_product_attention(heads * 3, heads + 1, heads, **options)
    return y.transpose(1, 2).reshape(x.shape)
