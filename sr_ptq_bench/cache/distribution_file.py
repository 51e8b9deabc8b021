"""Distributions of all sites as the tensors of one file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ..quantization.distribution import Distribution

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

_FIELDS = ("bin_counts", "elements", "channel_minimum", "channel_maximum", "channel_elements")


def pack_distributions(distributions: Mapping[str, Distribution]) -> dict[str, Tensor]:
    """Sites that share one distribution share its entry; ranges and the order of the sites are tensors too."""
    tensors: dict[str, Tensor] = {}
    kept: dict[int, int] = {}
    for index, (site, d) in enumerate(distributions.items()):
        source = kept.setdefault(id(d), index)
        tensors[f"{site}|site"] = torch.tensor([index, source])
        if source == index:
            tensors[f"{index}|range"] = torch.tensor([d.minimum, d.maximum], dtype=torch.float64)
            for name in _FIELDS:
                value = getattr(d, name)
                if value is not None:
                    tensors[f"{index}|{name}"] = value.contiguous()
    return tensors


def unpack_distributions(tensors: Mapping[str, Tensor]) -> dict[str, Distribution]:
    """The distributions by site, in network order; raises KeyError if a tensor is missing."""
    made: dict[int, Distribution] = {}
    order: list[tuple[int, int, str]] = []
    for name, tensor in tensors.items():
        if name.endswith("|site"):
            index, source = tensor.tolist()
            order.append((index, source, name.removesuffix("|site")))
    for _, source, _ in order:
        if source not in made:
            low, high = tensors[f"{source}|range"].tolist()
            bin_counts, *optional = (tensors.get(f"{source}|{name}") for name in _FIELDS)
            if bin_counts is None:
                raise KeyError(source)
            made[source] = Distribution(low, high, bin_counts, *optional)
    return {site: made[source] for _, source, site in sorted(order)}
