"""Makes an `SRModel` of any network: layers and products become sites; the network is not rewritten."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..errors import SrqError
from ..quantization.network import SRModel
from .fuse import fuse_weights
from .split import split_layers
from .trace import trace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..protocol.types import ScopeName

TRACED_SIDE = 16
"""Pixels of the image on which a network is traced, unless it needs more."""
COUNT_SIDE = 64
"""Pixels: a multiple of the windows of all architectures that are known here."""


def open_network(
    network: nn.Module,
    name: str,
    scale: int,
    *,
    size_multiple: int = 1,
    min_side: int = 1,
    scope: ScopeName = "all",
    libraries: tuple[str, ...] = (),
    split: Mapping[str, Sequence[str]] | None = None,
) -> SRModel:
    """Make an SRModel of any network that upscales (N, 3, H, W), from passes of it over small images of noise.

    Its layers and products become sites; it is not rewritten, but a weight that is computed from other parameters, as
    under a weight norm, is replaced by the result. `split` names Linear layers that make several tensors at
    once, by pattern, and their parts: `{"*.attn.qkv": ("q", "k", "v")}`; each part becomes a layer with sites of its
    own. Raises SrqError that names a product if images of different sizes need it a different number of times, and for
    a network whose code reads the weight of a split layer.
    """
    fuse_weights(network.eval())
    split_layers(network, split or {})
    network.eval().requires_grad_(False)
    model = SRModel(name, scale, network, {}, (), size_multiple=size_multiple, min_side=min_side, scope=scope)
    side = model.smallest(TRACED_SIDE)
    smallest = noise(model.smallest()) if model.smallest() < side else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch on other people's code
        try:
            seen = trace(network, noise(side), noise(side, 2 * side), smallest)
        except AttributeError as error:
            if not split:
                raise
            raise SrqError(f"'{name}' cannot be split so, its code reads inside a layer: {error}") from error
    _check_output(name, seen.output, (1, 3, scale * side, scale * side))
    layers = list(seen.input_kinds)
    return replace(
        model,
        input_kinds=seen.input_kinds,
        features=seen.features,
        first_last_layers=(layers[0], layers[-1]) if layers else (),
        unquantized_ops=seen.unquantized_ops,
        libraries=libraries,
        products=seen.products,
        count_side=COUNT_SIDE,
    )


def _check_output(name: str, output: object, shape: tuple[int, ...]) -> None:
    if not isinstance(output, Tensor):
        raise SrqError(f"'{name}' returns a {type(output).__name__}; expected a tensor")
    if output.shape != shape:
        raise SrqError(
            f"'{name}' makes {tuple(output.shape)} of an image; expected {shape}, at the scale that is given"
        )


def noise(height: int, width: int | None = None) -> Tensor:
    """An image of noise, always the same: (1, 3, height, width or height) in [0, 1]."""
    return torch.rand(1, 3, height, width or height, generator=torch.Generator().manual_seed(0))
