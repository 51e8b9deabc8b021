"""Networks of many architectures, recognised by their weights through the library spandrel, an optional extra.

Linear and Conv2d layers are quantizable. Operands of matrix products are not: no architecture is rewritten.
"""

from __future__ import annotations

import copy
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from ..errors import SrqError
from ..hooks.specs import hookimpl
from ..quantization.network import SRModel
from ..storage.weights import read_weights, without_prefix
from .tracing import trace

if TYPE_CHECKING:
    from pathlib import Path

NAME = "spandrel"
TRACED_SIDE = 16
"""Pixels of the image on which a network is traced, unless it needs more."""


@hookimpl
def srq_load_model(name: str, scale: int, weights: Path) -> SRModel | None:
    """Load `spandrel`, or `spandrel-ANYTHING` where a suite holds several such networks."""
    if name != NAME and not name.startswith(f"{NAME}-"):
        return None
    descriptor = recognised(name, weights)
    _check(descriptor, scale, f"weights {weights} ({descriptor.architecture.name})")
    return open_sites(descriptor, name)


def recognised(name: str, weights: Path) -> Any:
    """Spandrel's descriptor of the network that the weights belong to; raises SrqError for none or without spandrel."""
    try:
        import spandrel
    except ImportError as error:
        raise SrqError(f"model '{name}' needs the extra {NAME} ({error}); `pip install '.[{NAME}]'`") from error
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
        except Exception as error:  # what an architecture makes of tensors that it takes for its own
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
    """Make an SRModel of spandrel's network from one pass of it; raises SrqError where spandrel adds to the pass."""
    network = descriptor.model.eval()
    needs = descriptor.size_requirements
    model = SRModel(
        name, descriptor.scale, network, {}, (), size_multiple=needs.multiple_of, min_side=max(1, needs.minimum)
    )
    side = model.smallest(TRACED_SIDE)
    lr = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = copy.deepcopy(descriptor)(lr.clone())  # some networks overwrite their input
        seen = trace(network, lr)
    if not _equal(seen.output, expected):
        what = f"the network of {descriptor.architecture.name} alone does not compute what spandrel does with it"
        raise SrqError(f"{what}; choose another architecture")
    network.requires_grad_(False)
    layers = list(seen.input_kinds)
    return replace(
        model,
        input_kinds=seen.input_kinds,
        features=seen.features,
        first_last_layers=(layers[0], layers[-1]) if layers else (),
        unquantized_ops=seen.unquantized_ops,
        libraries=(NAME,),
    )


def _equal(output: object, expected: torch.Tensor) -> bool:
    """Whether the network made what the descriptor made, which clips it."""
    if not isinstance(output, torch.Tensor) or output.shape != expected.shape:
        return False
    return torch.allclose(output.clamp(0, 1), expected, atol=1e-5, equal_nan=True)
