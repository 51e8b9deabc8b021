"""EDSR and MSRResNet: BasicSR's residual networks. Every layer is a convolution and can be quantized.

The features of a distillation are the outputs of the residual blocks. The networks are not rewritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from ..basicsr_compat import EDSR, MSRResNet
from ..hooks.specs import hookimpl
from ..quantization.network import SRModel
from ..storage.weights import fill

if TYPE_CHECKING:
    from pathlib import Path

    from ..quantization.quantizer import InputKind

# Features, residual blocks and the factor of each residual. Inside, EDSR computes on [0, 255] less the mean of DIV2K:
# BasicSR's defaults, which the published weights expect. Its input and output are in [0, 1], as of every SRModel.
EDSR_SIZES = {"edsr": (256, 32, 0.1), "edsr-baseline": (64, 16, 1.0)}
NAMES = (*EDSR_SIZES, "msrresnet")
# MSRResNet has a leaky ReLU after its first convolution and throughout its upsampler.
AFTER_LEAKY_RELU = ("body.0.conv1", "upconv2", "conv_hr", "conv_last")
# EDSR-PyTorch keeps the mean of DIV2K as two convolutions; BasicSR's EDSR subtracts and adds the same number itself.
MEAN_SHIFTS = ("sub_mean.weight", "sub_mean.bias", "add_mean.weight", "add_mean.bias")


@hookimpl
def srq_load_model(name: str, scale: int, weights: Path) -> SRModel | None:
    """Load `edsr` (EDSR-L: 256 features, 32 blocks), `edsr-baseline` (64, 16) or `msrresnet` (64, 16)."""
    if name not in NAMES:
        return None
    network = new_network(name, scale)
    fill(network, weights, rebuilt=MEAN_SHIFTS, aliases=edsr_pytorch_names(network))
    return open_sites(network, name, scale)


def new_network(name: str, scale: int) -> nn.Module:
    """BasicSR's network of that name with fresh weights."""
    if name == "msrresnet":
        return MSRResNet(upscale=scale)  # type: ignore[no-any-return]
    features, blocks, res_scale = EDSR_SIZES[name]
    return EDSR(3, 3, features, blocks, scale, res_scale)  # type: ignore[no-any-return]


def open_sites(network: nn.Module, name: str, scale: int) -> SRModel:
    """Make an SRModel of BasicSR's EDSR or MSRResNet, of any size: all convolutions, in the network's order."""
    leaky = isinstance(network, MSRResNet)
    layers = [path for path, module in network.named_modules() if isinstance(module, nn.Conv2d)]
    input_kinds = {layer: _producer(layer, leaky) for layer in layers}
    features = tuple(f"body.{path}" for path, _ in network.get_submodule("body").named_children())
    network.eval().requires_grad_(False)
    return SRModel(name, scale, network, input_kinds, features, first_last_layers=("conv_first", "conv_last"))


def _producer(layer: str, leaky: bool) -> InputKind:
    """What makes the input of a convolution; sums of residuals and shuffled pixels count as convolution outputs."""
    if layer == "conv_first":
        return "image"
    if leaky and layer in AFTER_LEAKY_RELU:
        return "leakyrelu"
    return "relu" if layer.endswith(".conv2") else "conv"


def edsr_pytorch_names(network: nn.Module) -> dict[str, str]:
    """BasicSR's names of EDSR's parameters, by the names in EDSR-PyTorch, the code of EDSR's authors."""
    blocks = sum(1 for _ in network.get_submodule("body").children())
    parts = {
        "conv_first.": "head.0.",
        "conv_after_body.": f"body.{blocks}.",
        "upsample.": "tail.0.",
        "conv_last.": "tail.1.",
        ".conv1.": ".body.0.",
        ".conv2.": ".body.2.",
    }
    names = {}
    for name, _ in network.named_parameters():
        theirs = name
        for ours, part in parts.items():
            theirs = theirs.replace(ours, part)
        names[theirs] = name
    return names
