"""Tensors of the shapes that sites see."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from sr_ptq_bench.quantization.distribution import BINS

LARGE = BINS + 4000  # just enough that a histogram is kept


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def laplace(count: int) -> torch.Tensor:
    u = torch.rand(count, generator=torch.Generator().manual_seed(1)) - 0.5
    return -torch.sign(u) * torch.log1p(-2 * u.abs())


SHAPES = {
    "normal": normal,
    "laplace": laplace,
    "gelu": lambda n: F.gelu(normal(n)),
    "softmax": lambda n: torch.softmax(3 * normal(math.ceil(n / 16), 16), -1).flatten()[:n],
    "one-sided": lambda n: normal(n).abs() + 2,
    "relu": lambda n: F.relu(normal(n)),
    "outlier": lambda n: torch.cat([normal(n - 1), torch.tensor([60.0])]),
}
