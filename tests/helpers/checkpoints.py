"""Networks of spandrel's own code, of a few weights each, as the files that their authors would publish."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from sr_ptq_bench import SRModel
from sr_ptq_bench.backbones.spandrel import srq_load_model

ARCHITECTURES = ("compact", "dat", "esrgan", "hat", "rcan", "span", "swinir")
WITH_ATTENTION = ("atd", "dat", "hat", "omnisr", "rgt", "swin2sr", "swinir")
SIDE = 16
"""Pixels that each of them takes."""


def network(name: str, scale: int = 2) -> nn.Module:
    """A network with random weights."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch on the architectures' use of meshgrid
        return _network(name, scale)


def _network(name: str, scale: int) -> nn.Module:
    from spandrel.architectures import ATD, DAT, ESRGAN, HAT, RCAN, RGT, SPAN, Compact, OmniSR, Swin2SR, SwinIR

    tiny = {"upscale": scale, "img_size": 16, "embed_dim": 12, "num_heads": [2]}
    if name == "atd":
        tokens = {"num_tokens": 8, "reducted_dim": 4, "convffn_kernel_size": 3, "upsampler": "pixelshuffledirect"}
        return ATD.ATD(**tiny, **tokens, window_size=8, depths=[2])
    if name == "compact":
        return Compact.Compact(num_feat=4, num_conv=2, upscale=scale)
    if name == "dat":
        split = {"split_size": [8, 8], "expansion_factor": 2, "upsampler": "pixelshuffledirect"}
        return DAT.DAT(**tiny | {"img_size": 64, "embed_dim": 32}, **split, depth=[2])
    if name == "esrgan":
        return ESRGAN.ESRGAN(num_filters=4, num_blocks=2, scale=scale)
    if name == "hat":
        squeeze = {"compress_ratio": 3, "squeeze_factor": 3, "upsampler": "pixelshuffle"}
        return HAT.HAT(**tiny, **squeeze, window_size=8, depths=[2])
    if name == "omnisr":
        return OmniSR.OmniSR(num_feat=16, block_num=1, res_num=1, window_size=8, up_scale=scale)
    if name == "rcan":  # the one that overwrites its input
        return RCAN.RCAN(scale=scale, n_resgroups=2, n_resblocks=1, n_feats=4, reduction=2)
    if name == "rgt":
        return RGT.RGT(**tiny | {"embed_dim": 32}, depth=[2], split_size=[8, 8], mlp_ratio=2.0)
    if name == "span":
        return SPAN.SPAN(num_in_ch=3, num_out_ch=3, feature_channels=4, upscale=scale)
    if name == "swin2sr":
        return Swin2SR.Swin2SR(**tiny, window_size=8, depths=[2], mlp_ratio=2, upsampler="pixelshuffledirect")
    return SwinIR.SwinIR(**tiny, window_size=8, depths=[2], mlp_ratio=2, upsampler="pixelshuffledirect")


def write(module: nn.Module, folder: Path) -> Path:
    """Its tensors as a file."""
    path = folder / "network.safetensors"
    save_file({name: tensor.clone() for name, tensor in module.state_dict().items()}, path)
    return path


def loaded(name: str, scale: int, folder: Path) -> SRModel:
    """One of ARCHITECTURES, loaded as a run would."""
    model = srq_load_model(name="spandrel", scale=scale, weights=write(network(name, scale), folder))
    assert model is not None
    return model
