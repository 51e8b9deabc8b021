"""Networks of many architectures with spandrel's code: DAT-light, and checkpoints that spandrel recognises.

Linear and Conv2d layers and products of two tensors can be quantized; no architecture is rewritten.
"""

from __future__ import annotations

import copy
import warnings
from typing import TYPE_CHECKING, Any

import torch

from ..errors import SrqError
from ..hooks.specs import hookimpl
from ..quantization.network import SRModel
from ..storage.weights import fill, read_weights, without_prefix
from ..tracing.open_network import TRACED_SIDE, noise, open_network

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

NAME = "spandrel"
DAT_LIGHT = "dat-light"
DAT_REBUILT = ("rpe_biases", "relative_position_index", "attn_mask_0", "attn_mask_1")
"""Buffers that DAT computes for itself."""
DAT_MIN_SIDE = 16
"""Pixels, as spandrel says of DAT."""


@hookimpl
def srq_load_model(name: str, scale: int, weights: Path) -> SRModel | None:
    """Load `dat-light`, `spandrel`, or `spandrel-ANYTHING` if a suite has several such networks."""
    if name == DAT_LIGHT:
        network = new_dat_light(scale)
        fill(network, weights, rebuilt=DAT_REBUILT)
        return open_network(network, name, scale, min_side=DAT_MIN_SIDE, scope="linear", libraries=(NAME,))
    if name != NAME and not name.startswith(f"{NAME}-"):
        return None
    descriptor = recognised(weights)
    _check(descriptor, scale, f"weights {weights} ({descriptor.architecture.name})")
    return open_sites(descriptor, name)


def new_dat_light(scale: int) -> nn.Module:
    """DAT-light (Chen et al., ICCV 2023) with fresh weights."""
    from spandrel.architectures.DAT import DAT

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch on the architecture's use of meshgrid
        return DAT(  # type: ignore[no-any-return]
            upscale=scale, in_chans=3, img_size=64, img_range=1.0, split_size=[8, 32], depth=[18], embed_dim=60,
            num_heads=[6], expansion_factor=2, resi_connection="3conv", qkv_bias=True,
            upsampler="pixelshuffledirect",
        )  # fmt: skip


def recognised(weights: Path) -> Any:
    """Spandrel's descriptor of the network that the weights belong to; raises SrqError if there is none."""
    import spandrel

    tensors = read_weights(weights)
    for tensor, values in tensors.items():
        if not torch.isfinite(values).all() and not tensor.endswith("mask"):
            raise SrqError(f"weights {weights}: tensor {tensor} has values that are not finite")
    known: dict[str, torch.Tensor] | None = tensors
    while known:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch on the architectures' code
                return spandrel.ModelLoader().load_from_state_dict(known)
        except spandrel.UnsupportedModelError:
            known = without_prefix(known)
        except Exception as error:  # an architecture may fail in any way on tensors that look like its own
            why = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            raise SrqError(f"spandrel {spandrel.__version__} cannot load weights {weights}: {why}") from error
    first = ", ".join([*tensors][:2])
    what = f"knows no architecture with the tensors of {weights} ({first}, ...)"
    raise SrqError(f"spandrel {spandrel.__version__} {what}")


def _check(descriptor: Any, scale: int, what: str) -> None:
    """Raise SrqError unless the network upscales single RGB images of any shape by that factor."""
    if descriptor.purpose != "SR":
        raise SrqError(f"{what} are for {descriptor.purpose}; expected super-resolution (SR)")
    channels = descriptor.input_channels, descriptor.output_channels
    if channels != (3, 3):
        raise SrqError(f"{what} take {channels[0]} channels and make {channels[1]}; expected 3 and 3")
    if descriptor.scale != scale:
        raise SrqError(f"{what} are for x{descriptor.scale}; name them under that scale, not x{scale}")
    if descriptor.size_requirements.square:
        raise SrqError(f"{what} take square images alone; test images are of any shape")


def open_sites(descriptor: Any, name: str) -> SRModel:
    """Make an SRModel of spandrel's network from one pass of it; raises SrqError if spandrel adds to the pass."""
    needs = descriptor.size_requirements
    own = copy.deepcopy(descriptor)  # some networks change themselves when they run
    model = open_network(
        descriptor.model,
        name,
        descriptor.scale,
        size_multiple=needs.multiple_of,
        min_side=max(1, needs.minimum),
        libraries=(NAME,),
    )
    lr = noise(model.smallest(TRACED_SIDE))
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        output, expected = model.network(lr.clone()), own(lr.clone())  # some networks overwrite their input
    if not _equal(output, expected):
        what = f"the network of {descriptor.architecture.name} alone does not compute what spandrel does with it"
        raise SrqError(f"{what}; choose another architecture")
    return model


def _equal(output: object, expected: torch.Tensor) -> bool:
    """Whether the network's output is that of the descriptor, which clips it."""
    if not isinstance(output, torch.Tensor) or output.shape != expected.shape:
        return False
    return torch.allclose(output.clamp(0, 1), expected, atol=1e-5, equal_nan=True)
