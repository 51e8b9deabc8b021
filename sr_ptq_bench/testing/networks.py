"""Networks of a few weights, always the same, and patches of noise."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from ..backbones import edsr, swinir
from ..basicsr_compat import EDSR, SwinIR
from ..data.patches import Batches
from ..quantization.network import SRModel, with_scope

if TYPE_CHECKING:
    from collections.abc import Callable

SIDE = 16
SCALE = 2


class _Convolutions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.block = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 4, 1))
        self.last = nn.Conv2d(4, 3 * SCALE**2, 3, padding=1)
        self.shuffle = nn.PixelShuffle(SCALE)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        sr: Tensor = self.shuffle(self.last(y + self.block(y)))
        return sr


def _convolutions() -> SRModel:
    kinds = {"first": "image", "block.0": "conv", "block.2": "relu", "last": "conv"}
    return SRModel("convolutions", SCALE, _Convolutions(), kinds, ("block",), ("first", "last"))  # type: ignore[arg-type]


def _edsr() -> SRModel:
    return edsr.open_sites(EDSR(3, 3, 4, 2, SCALE), "edsr", SCALE)


def _swinir() -> SRModel:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch on BasicSR's use of meshgrid
        network = SwinIR(
            upscale=SCALE, img_size=SIDE, window_size=8, img_range=1.0, depths=[2], embed_dim=8, num_heads=[2],
            mlp_ratio=2, upsampler="pixelshuffledirect", resi_connection="1conv",
        )  # fmt: skip
    return swinir.open_sites(network, "swinir", SCALE)


NETWORKS: dict[str, Callable[[], SRModel]] = {"convolutions": _convolutions, "edsr": _edsr, "swinir": _swinir}


def network(name: str) -> SRModel:
    """One of NETWORKS with random weights; all its layers are quantized."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = NETWORKS[name]()
        for parameter in model.network.parameters():  # biases and norms leave their defaults
            parameter.data += 0.1 * torch.randn(parameter.shape)
    model.network.eval().requires_grad_(False)
    return with_scope(model, "all")


def noise(patches: int = 4, seed: int = 0) -> Batches:
    """Calibration patches, and images to cut more from."""
    rng = np.random.default_rng(seed)
    shapes = (patches, SIDE, SIDE, 3), (2, 4 * SIDE, 4 * SIDE, 3)
    fixed, images = (rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes)
    return Batches(fixed, list(images), seed)
