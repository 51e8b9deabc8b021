"""Linear layers that make several tensors at once, as layers of their own with bounds of their own."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..errors import SrqError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class SplitLinear(nn.Module):
    """A Linear layer as equal parts side by side, by name; their outputs are joined, as the code around expects."""

    def __init__(self, fused: nn.Linear, names: Sequence[str]) -> None:
        super().__init__()
        for rows, name in zip(torch.arange(fused.out_features).chunk(len(names)), names, strict=True):
            part = nn.Linear(fused.in_features, len(rows), bias=fused.bias is not None)
            part.weight.data = fused.weight.detach()[rows]
            if fused.bias is not None:
                part.bias.data = fused.bias.detach()[rows]
            self.add_module(name, part)

    def forward(self, x: Tensor) -> Tensor:
        """(..., I) -> (..., O)."""
        return torch.cat([part(x) for part in self.children()], -1)


def split_layers(network: nn.Module, split: Mapping[str, Sequence[str]]) -> None:
    """Split the Linear layers whose names match a pattern such as `*.attn.qkv`, in place, into parts with these names.

    Raises SrqError for a pattern without a layer, and for a layer that is no Linear or has no equal parts.
    """
    for pattern, names in split.items():
        found = [(name, module) for name, module in network.named_modules() if fnmatchcase(name, pattern)]
        if not found:
            raise SrqError(f"no layer matches '{pattern}', which is to be split into {', '.join(names)}")
        for name, module in found:
            if type(module) is not nn.Linear or module.out_features % len(names):
                raise SrqError(f"{name} is no Linear layer with {len(names)} equal parts; it cannot be split")
            network.set_submodule(name, SplitLinear(module, names))
