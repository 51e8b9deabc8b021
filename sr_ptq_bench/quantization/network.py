"""A super-resolution network with all that the host must know about it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import SrqError, unknown
from .capture import capture
from .products.product import Product, module_of
from .products.quantized import abandon_pass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..protocol.types import Padding, ScopeName
    from .quantizer import InputKind


class Operand(nn.Identity):
    """Marks an operand of a matrix product as a site; the backbone passes the tensor through it.

    `inplace` promises that nothing else reads the tensor, so that its quantizer may overwrite it.
    """

    def __init__(self, input_kind: InputKind, inplace: bool = False) -> None:
        super().__init__()
        self.input_kind: InputKind = input_kind
        self.inplace = inplace


class Teacher(Protocol):
    """The full-precision (FP) network as a calibrator sees it."""

    @property
    def name(self) -> str:
        """The name of the network."""

    @property
    def scale(self) -> int:
        """The upscaling factor."""

    @property
    def features(self) -> tuple[str, ...]:
        """The modules whose outputs a distillation compares."""

    def __call__(self, lr: Tensor) -> Tensor:
        """Upscale (N, 3, H, W) in [0, 1] to (N, 3, scale*H, scale*W), not clipped."""

    def with_features(self, lr: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The output and the features of one forward pass, in the order of `features`."""


@dataclass(frozen=True, eq=False)
class SRModel:
    """A network with all that the host must know about it.

    - `input_kinds`: for each quantizable layer (a module name), what made its input.
    - `products`: for each product of tensors in the network's own code, what made its operands: all products, or none.
      With none, all products stay in full precision (FP). A product is named as in the room `products`.
    - `features`: modules whose outputs, tokens (N, L, C) or maps (N, C, H, W), a distillation compares.
    - `first_last_layers`: the first and the last quantizable layer, if they read the image or write it.
    - `size_multiple`: at test time the input is padded to a multiple of this many pixels.
    - `min_side`: the fewest pixels that a side of the input may have.
    - `scope`: which quantizable layers are quantized; with `linear` the convolutions stay FP.
    - `unquantized_ops`: in words, the products that stay FP in every scope.
    - `libraries`: distributions of the network's code other than the host's own.
    - `count_side`: multiply-accumulates are counted on an image of this side in pixels, which the network does not pad
      inside.
    """

    name: str
    scale: int
    network: nn.Module
    input_kinds: Mapping[str, InputKind]
    features: tuple[str, ...]
    first_last_layers: tuple[str, ...] = ()
    size_multiple: int = 1
    padding: Padding = "flip"
    scope: ScopeName = "all"
    min_side: int = 1
    unquantized_ops: str = ""
    libraries: tuple[str, ...] = ()
    products: Mapping[str, Product] = field(default_factory=dict)
    count_side: int = 1

    def __call__(self, lr: Tensor) -> Tensor:
        """Upscale (N, 3, H, W) in [0, 1] to (N, 3, scale*H, scale*W), not clipped; raises SrqError if too small."""
        height, width = lr.shape[-2:]
        if min(height, width) < self.min_side:
            raise SrqError(
                f"an image of {width}x{height} pixels is too small; '{self.name}' takes {self.min_side} or more"
            )
        padded = pad(lr, self.size_multiple, self.padding)
        try:
            sr: Tensor = self.network(padded.clone() if padded is lr else padded)  # some networks overwrite their input
        except BaseException:
            abandon_pass(self.network)
            raise
        return sr[..., : height * self.scale, : width * self.scale]

    def with_features(self, lr: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The output and the features of one forward pass, in the order of `features`."""
        kept: dict[str, Tensor] = {}
        with capture(self, self.features, lambda name, _, output: kept.__setitem__(name, output)):
            return self(lr), [kept[name] for name in self.features]

    def smallest(self, side: int = 1) -> int:
        """The smallest side of an image that needs no padding and has at least `side` pixels."""
        return self.size_multiple * -(-max(side, self.min_side) // self.size_multiple)

    def too_small(self, side: int) -> str | None:
        """Why an image whose shorter side has this many pixels is refused; None if it is not."""
        if side >= max(self.size_multiple, self.min_side):
            return None
        if self.min_side > self.size_multiple:
            return f"smaller than the {self.min_side} pixels that '{self.name}' needs"
        return f"smaller than one window of {self.size_multiple}x{self.size_multiple}"

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.network.parameters()).device

    def to(self, device: torch.device | str) -> SRModel:
        """Move the network to a device, in place."""
        self.network.to(device)
        return self


def pad(x: Tensor, window: int, mode: Padding) -> Tensor:
    """Extend (N, C, H, W) at the bottom and the right to a multiple of `window`.

    `flip` (2DQuant) mirrors with the edge pixel, only where needed; `reflect` (BasicSR) without the edge pixel, only
    where needed; `window` (the SwinIR release) mirrors with the edge pixel and adds a whole window if the size is a
    multiple already. Raises SrqError for an image too small to mirror.
    """
    height, width = x.shape[-2:]
    if min(height, width) < window:
        raise SrqError(f"an image of {width}x{height} pixels is smaller than one window of {window}x{window}")
    extra = [(-size) % window or (window if mode == "window" else 0) for size in (height, width)]
    if mode == "reflect":
        return F.pad(x, (0, extra[1], 0, extra[0]), "reflect")
    for axis, more in ((2, extra[0]), (3, extra[1])):
        x = torch.cat([x, x.flip(axis).narrow(axis, 0, more)], axis) if more else x
    return x


def with_scope(model: SRModel, scope: ScopeName | None) -> SRModel:
    """The same network with another scope; None keeps its own. Raises SrqError if nothing is quantized."""
    chosen = replace(model, scope=scope or model.scope)
    if not quantizable(chosen):
        why = "all its layers are convolutions; choose 'all'" if model.input_kinds else "it names no layers"
        raise SrqError(f"scope '{chosen.scope}' quantizes nothing of '{model.name}': {why}")
    return chosen


def with_padding(model: SRModel, padding: Padding) -> SRModel:
    """The same network under another padding mode."""
    return replace(model, padding=padding)


def quantizable(model: SRModel) -> dict[str, nn.Module | Product]:
    """The operands, the products, and the layers of the model's scope, by name in the network's own order."""
    modules = dict(model.network.named_modules())
    for kind, names in (("layer", model.input_kinds), ("module", map(module_of, model.products))):
        for name in names:
            if name not in modules:
                raise unknown(kind, name, modules)
    found: dict[str, nn.Module | Product] = {}
    for name, module in modules.items():
        if isinstance(module, Operand) or (name in model.input_kinds and _in_scope(module, model.scope)):
            found[name] = module
        found |= {product: of for product, of in model.products.items() if module_of(product) == name}
    return found


def _in_scope(layer: nn.Module, scope: ScopeName) -> bool:
    return scope == "all" or not isinstance(layer, nn.Conv2d)
