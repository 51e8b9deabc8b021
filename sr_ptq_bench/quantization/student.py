"""The quantized copy of a network."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import SrqError
from .network import Operand, SRModel, quantizable_modules
from .quantizer import Quantizer, Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ..protocol.bits import Bits
    from .quantizer import Layer


@dataclass(frozen=True, eq=False)
class Student:
    """The quantized copy of a teacher: `model` is a network of its own, in which every site has a quantizer.

    `quantizers` are by site name, in network order. `weights` are the full-precision weights of the quantized layers,
    by the names of their sites; a layer reads its weight from here, so a change in place changes the network.
    """

    model: SRModel
    quantizers: Mapping[str, Quantizer]
    weights: Mapping[str, Tensor]

    def __call__(self, lr: Tensor) -> Tensor:
        """As `SRModel.__call__`, quantized."""
        return self.model(lr)

    def with_features(self, lr: Tensor) -> tuple[Tensor, list[Tensor]]:
        """As `SRModel.with_features`, quantized."""
        return self.model.with_features(lr)

    @property
    def network(self) -> nn.Module:
        """The network with its quantizers."""
        return self.model.network

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.model.device

    def bound_parameters(self) -> list[nn.Parameter]:
        """All bounds, lower before upper, site by site."""
        return [end for quantizer in self.quantizers.values() for end in (quantizer.lower, quantizer.upper)]

    def fix_crossed_bounds(self) -> None:
        """Raise every upper bound that a training step left below its lower bound to that lower bound."""
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
    teacher: SRModel,
    bits: Bits,
    make_quantizer: Callable[[Site, int], Quantizer | None] | None = None,
    site_bits: Mapping[str, int] | None = None,
) -> Student:
    """Build the student of a teacher: a copy in which every site has a quantizer, its bounds not yet set.

    `site_bits` are the bit-widths of sites that differ from `bits`. With all quantizers off the output of the student
    equals that of the teacher to the last bit.
    """
    model = replace(teacher, network=copy.deepcopy(teacher.network).requires_grad_(False))
    network, quantizers, weights = model.network, dict[str, Quantizer](), dict[str, Tensor]()

    def quantizer(site: Site) -> Quantizer:
        width = (site_bits or {}).get(site.name, bits.of(site.role))
        made = make_quantizer(site, width) if make_quantizer else None
        quantizers[site.name] = made if made is not None else Quantizer(site, width)
        return quantizers[site.name]

    for name, module in quantizable_modules(model).items():
        if isinstance(module, Operand):
            operand = quantizer(Site(name, "activation", module.input_kind))
            operand.inplace = module.inplace
            _replace(network, name, operand)
        else:
            layer = _layer(module, name)
            kind: Layer = "conv" if isinstance(layer, nn.Conv2d) else "linear"
            axis = 1 if kind == "conv" else -1
            weights[f"{name}.weight"] = layer.weight
            edge = name in teacher.first_last_layers
            weight = quantizer(Site(f"{name}.weight", "weight", "parameter", 0, edge, kind))
            activation = quantizer(Site(f"{name}.input", "activation", teacher.input_kinds[name], axis, edge, kind))
            _replace(network, name, QuantizedLayer(layer, weight, activation))
    return Student(model.to(teacher.device), quantizers, weights)


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
def cached_quantized_weights(student: Student) -> Iterator[None]:
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


def site_elements(student: Student) -> dict[str, int]:
    """How many numbers are quantized at every site in one forward pass of the smallest image, by site name."""
    elements = dict.fromkeys(student.quantizers, 0)

    def count(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda _module, inputs: elements.__setitem__(name, elements[name] + inputs[0].numel())

    side = student.model.smallest()
    handles = [quantizer.register_forward_pre_hook(count(name)) for name, quantizer in student.quantizers.items()]
    try:
        with torch.no_grad(), quantizers_off(student):
            student(torch.zeros(1, 3, side, side, device=student.device))
    finally:
        for handle in handles:
            handle.remove()
    return elements
