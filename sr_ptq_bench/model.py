"""A super-resolution network and its quantized twin.

A backbone plugin builds an `SRModel`: the teacher. `quantize` copies it into a `Student` whose every site has a
quantizer. The teacher is never touched.
"""

from __future__ import annotations

import copy
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .errors import SrqError, unknown
from .quantizer import Quantizer, Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from .quantizer import Layer, Producer
    from .spec import Bits, Padding, ScopeName


class Operand(nn.Identity):
    """Marks an operand of a matrix product as a site; the backbone passes the tensor through it.

    `inplace` promises that nothing else reads the tensor, so that its quantizer may overwrite it.
    """

    def __init__(self, producer: Producer, inplace: bool = False) -> None:
        super().__init__()
        self.producer: Producer = producer
        self.inplace = inplace


@dataclass(frozen=True, eq=False)
class SRModel:
    """A network with what the host must know of it.

    `producers` maps each quantizable layer (a module name) to what made its input. `features` names the modules whose
    outputs, tokens (N, L, C) or maps (N, C, H, W), a distillation compares. `edges` names the first and the last of the
    quantizable layers, where these read the image or write it. The input is padded at test time to a multiple of
    `window` pixels, and has no side below `minimum`. `scope` says which of the quantizable layers are quantized: with
    `linear` the convolutions stay FP. `not_covered` says in words which products stay FP in every scope.
    `libraries` names the distributions, beside the host's own, that the network's code comes from.
    """

    name: str
    scale: int
    network: nn.Module
    producers: Mapping[str, Producer]
    features: tuple[str, ...]
    edges: tuple[str, ...] = ()
    window: int = 1
    padding: Padding = "flip"
    scope: ScopeName = "all"
    minimum: int = 1
    not_covered: str = ""
    libraries: tuple[str, ...] = ()

    def __call__(self, lr: Tensor) -> Tensor:
        """Upscale (N, 3, H, W) in [0, 1] to (N, 3, scale*H, scale*W), not clipped; raises SrqError if too small."""
        height, width = lr.shape[-2:]
        if min(height, width) < self.minimum:
            raise SrqError(
                f"an image of {width}x{height} pixels is too small; '{self.name}' takes {self.minimum} or more"
            )
        padded = pad(lr, self.window, self.padding)
        sr: Tensor = self.network(padded.clone() if padded is lr else padded)  # some networks overwrite their input
        return sr[..., : height * self.scale, : width * self.scale]

    def with_features(self, lr: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The output and the features of one forward pass, in the order of `features`."""
        kept: dict[str, Tensor] = {}

        def keep(name: str) -> Callable[[nn.Module, object, Tensor], None]:
            return lambda _module, _input, output: kept.__setitem__(name, output)

        handles = [self.network.get_submodule(name).register_forward_hook(keep(name)) for name in self.features]
        try:
            return self(lr), [kept[name] for name in self.features]
        finally:
            for handle in handles:
                handle.remove()

    def smallest(self, side: int = 1) -> int:
        """The least side of an image that needs no padding and has at least `side` pixels."""
        return self.window * -(-max(side, self.minimum) // self.window)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.network.parameters()).device

    def to(self, device: torch.device | str) -> SRModel:
        """Move the network to a device, in place."""
        self.network.to(device)
        return self


@dataclass(frozen=True, eq=False)
class Student(SRModel):
    """The quantized twin of a teacher: the same network with a quantizer at every site."""

    quantizers: dict[str, Quantizer] = field(default_factory=dict)
    weights: dict[str, Tensor] = field(default_factory=dict)

    def bound_parameters(self) -> list[nn.Parameter]:
        """All bounds, lower before upper, site by site."""
        return [end for quantizer in self.quantizers.values() for end in (quantizer.lower, quantizer.upper)]

    def keep_ordered(self) -> None:
        """Put every upper bound that a training step left below its lower bound back onto it."""
        with torch.no_grad():
            for quantizer in self.quantizers.values():
                torch.maximum(quantizer.lower, quantizer.upper, out=quantizer.upper)


class QuantizedLayer(nn.Module):
    """A Linear or Conv2d layer whose input and weight pass through quantizers; the bias stays FP."""

    def __init__(self, layer: nn.Linear | nn.Conv2d, weight: Quantizer, activation: Quantizer) -> None:
        super().__init__()
        self.layer = layer
        self.weight_quantizer = weight
        self.input_quantizer = activation

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to the quantized input with the quantized weight."""
        weight = self.weight_quantizer(self.layer.weight)
        x = self.input_quantizer(x)
        if isinstance(self.layer, nn.Conv2d):
            y: Tensor = self.layer._conv_forward(x, weight, self.layer.bias)
            return y
        return F.linear(x, weight, self.layer.bias)


def quantize(
    teacher: SRModel, bits: Bits, make_quantizer: Callable[[Site, int], Quantizer | None] | None = None
) -> Student:
    """Build the student of a teacher: a copy in which every site has a quantizer, its bounds not yet set.

    With all quantizers off its output equals the teacher's to the last bit.
    """
    network = copy.deepcopy(teacher.network).requires_grad_(False)
    quantizers: dict[str, Quantizer] = {}
    weights: dict[str, Tensor] = {}

    def quantizer(site: Site) -> Quantizer:
        width = bits.of(site.role)
        made = make_quantizer(site, width) if make_quantizer else None
        quantizers[site.name] = made if made is not None else Quantizer(site, width)
        return quantizers[site.name]

    for name, module in _quantized(replace(teacher, network=network)).items():
        if isinstance(module, Operand):
            operand = quantizer(Site(name, "activation", module.producer))
            operand.inplace = module.inplace
            _replace(network, name, operand)
        else:
            layer = _layer(module, name)
            kind: Layer = "conv" if isinstance(layer, nn.Conv2d) else "linear"
            axis = 1 if kind == "conv" else -1
            weights[f"{name}.weight"] = layer.weight
            edge = name in teacher.edges
            weight = quantizer(Site(f"{name}.weight", "weight", "parameter", 0, edge, kind))
            activation = quantizer(Site(f"{name}.input", "activation", teacher.producers[name], axis, edge, kind))
            _replace(network, name, QuantizedLayer(layer, weight, activation))
    features = {f.name: getattr(teacher, f.name) for f in teacher.__dataclass_fields__.values()}
    return Student(**{**features, "network": network}, quantizers=quantizers, weights=weights).to(teacher.device)  # type: ignore[return-value]


def _quantized(model: SRModel) -> dict[str, nn.Module]:
    """The operands, and the layers of the model's scope, by name in the network's own order."""
    modules = dict(model.network.named_modules())
    for name in model.producers:
        if name not in modules:
            raise unknown("layer", name, modules)
    return {
        name: module
        for name, module in modules.items()
        if isinstance(module, Operand)
        or (name in model.producers and (model.scope == "all" or not isinstance(module, nn.Conv2d)))
    }


def _layer(module: nn.Module, name: str) -> nn.Linear | nn.Conv2d:
    if not isinstance(module, nn.Linear | nn.Conv2d):
        raise SrqError(f"module {name} is a {type(module).__name__}; only Linear and Conv2d layers can be quantized")
    return module


def _replace(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, module)


@contextmanager
def quantizers_off(student: Student) -> Iterator[None]:
    """Run the student in full precision."""
    before = {name: quantizer.enabled for name, quantizer in student.quantizers.items()}
    try:
        for quantizer in student.quantizers.values():
            quantizer.enabled = False
        yield
    finally:
        for name, quantizer in student.quantizers.items():
            quantizer.enabled = before[name]


@contextmanager
def weights_quantized_once(student: Student) -> Iterator[None]:
    """Hold the quantized weights for many forward passes, instead of quantizing them in each."""
    originals = {name: weight.data for name, weight in student.weights.items()}
    enabled = {name: student.quantizers[name].enabled for name in originals}
    try:
        with torch.no_grad():
            for name, weight in student.weights.items():
                weight.data = student.quantizers[name](weight.data)
        for name in originals:
            student.quantizers[name].enabled = False
        yield
    finally:
        for name, original in originals.items():
            student.weights[name].data = original
            student.quantizers[name].enabled = enabled[name]


def pad(x: Tensor, window: int, mode: Padding) -> Tensor:
    """Extend (N, C, H, W) at the bottom and the right to a multiple of `window`.

    `flip` (2DQuant) mirrors with the edge pixel, only where needed; `reflect` (BasicSR) without the edge pixel, only
    where needed; `window` (the SwinIR release) mirrors with the edge pixel and adds a whole window where the size is a
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
    """The same network with another scope, its own where that is None; raises SrqError where nothing is quantized."""
    chosen = replace(model, scope=scope or model.scope)
    if not _quantized(chosen):
        why = "all its layers are convolutions; choose 'all'" if model.producers else "it names no layers"
        raise SrqError(f"scope '{chosen.scope}' quantizes nothing of '{model.name}': {why}")
    return chosen


def with_padding(model: SRModel, padding: Padding) -> SRModel:
    """The same network under another padding mode."""
    return replace(model, padding=padding)
