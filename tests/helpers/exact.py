"""Layers and images whose sums are exact in whatever order they are taken."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def integers(layer: nn.Module, seed: int) -> nn.Module:
    """Weights that are integers, so that sums are exact in whatever order they are taken."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in layer.parameters():
        parameter.data = torch.randint(-3, 4, parameter.shape, generator=generator).float()
    return layer.requires_grad_(False)


def eighths(count: int, size: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randint(0, 9, (count, 3, size, size), generator=generator).float() / 8
