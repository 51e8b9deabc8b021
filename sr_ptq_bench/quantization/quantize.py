"""From a teacher to a student: every layer, product and operand gets quantizers."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import SrqError
from .network import Operand, SRModel, quantizable
from .products.product import Product, module_of
from .products.quantized import QuantizedProduct, QuantizedProducts
from .quantizer import Quantizer, Site

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..protocol.bits import Bits
    from .quantizer import Layer

from .student import Student


class QuantizedLayer(nn.Module):
    """A Linear or Conv2d layer whose input and weight pass through quantizers; the bias stays FP."""

    def __init__(self, layer: nn.Linear | nn.Conv2d, weight: Quantizer, activation: Quantizer) -> None:
        super().__init__()
        self.layer = layer
        self.weight_quantizer = weight
        self.input_quantizer = activation
        self.products: QuantizedProducts | None = None
        """The mode of the network around it, which needs not see the calls in here."""

    def __getattr__(self, name: str) -> Any:
        """What the layer has too: a network may ask for the type of its weight."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "layer":
                raise
            return getattr(self.layer, name)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # as torch's layers call it
        """Apply the layer to the quantized input with the quantized weight."""
        if self.products is None:
            return self._apply_layer(input)
        off = self.products.pause()
        try:
            return self._apply_layer(input)
        finally:
            self.products.resume(off)

    def _apply_layer(self, x: Tensor) -> Tensor:
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
    parameters = dict(model.network.named_parameters(remove_duplicate=False))
    made = _Quantizers(bits, make_quantizer, site_bits or {}, _without_channels(model, parameters))
    products: dict[str, QuantizedProduct | None] = {}
    for name, of in quantizable(model).items():
        if isinstance(of, Product) and of.is_constant:
            products[name] = None
        elif isinstance(of, Product):
            products[name] = _quantized_product(model.network, parameters, name, of, made)
        elif isinstance(of, Operand):
            operand = made.of(Site(name, "activation", of.input_kind))
            operand.inplace = of.inplace
            _replace(model.network, name, operand)
        else:
            _replace(model.network, name, _quantized_layer(model, name, _layer(of, name), made))
    if any(products.values()):
        _follow(model.network, products)
    for module in model.network.modules():
        if isinstance(module, nn.TransformerEncoderLayer):  # its fast path reads weights without calling the layers
            module.register_forward_pre_hook(_no_fast_path)
    return Student(model.to(teacher.device), made.quantizers, made.weights)


def _no_fast_path(_module: nn.Module, _args: object) -> None:
    """A hook that does nothing: torch takes its fast path only in modules without hooks."""


def _without_channels(model: SRModel, parameters: Mapping[str, Tensor]) -> set[int]:
    """The parameters, by `id`, in which a product may read other channels than a layer does: one may be transposed."""
    others = (operand for of in model.products.values() if not of.is_linear for operand in (of.a, of.b))
    return {id(parameters[operand.parameter]) for operand in others if operand.parameter is not None}


class _Quantizers:
    """The quantizers that have been made so far, by site name, and the weights by the names of their sites."""

    def __init__(
        self,
        bits: Bits,
        make_quantizer: Callable[[Site, int], Quantizer | None] | None,
        site_bits: Mapping[str, int],
        without_channels: set[int],
    ) -> None:
        self.quantizers: dict[str, Quantizer] = {}
        self.weights: dict[str, Tensor] = {}
        self._bits, self._make, self._site_bits = bits, make_quantizer, site_bits
        self._without_channels = without_channels

    def of(self, site: Site) -> Quantizer:
        """A new quantizer for a site."""
        width = self._site_bits.get(site.name, self._bits.of(site.role))
        made = self._make(site, width) if self._make else None
        self.quantizers[site.name] = made if made is not None else Quantizer(site, width)
        return self.quantizers[site.name]

    def of_weight(self, site: Site, weight: Tensor) -> Quantizer:
        """The quantizer of a weight; a weight that several layers read has only one."""
        for name, known in self.weights.items():
            if known is weight:
                return self.quantizers[name]
        self.weights[site.name] = weight
        return self.of(replace(site, channel_axis=None) if id(weight) in self._without_channels else site)


def _quantized_layer(model: SRModel, name: str, layer: nn.Linear | nn.Conv2d, made: _Quantizers) -> QuantizedLayer:
    kind: Layer = "conv" if isinstance(layer, nn.Conv2d) else "linear"
    axis = 1 if kind == "conv" else -1
    edge = name in model.first_last_layers
    weight = made.of_weight(Site(f"{name}.weight", "weight", "parameter", 0, edge, kind), layer.weight)
    activation = made.of(Site(f"{name}.input", "activation", model.input_kinds[name], axis, edge, kind))
    return QuantizedLayer(layer, weight, activation)


def _quantized_product(
    network: nn.Module, parameters: Mapping[str, Tensor], name: str, product: Product, made: _Quantizers
) -> QuantizedProduct:
    """The quantizers of a product, as a submodule of the module that makes it; raises SrqError if the name is taken."""
    layer: Layer | None = "linear" if product.is_linear else None
    quantizers = []
    for key, operand, axis in (("a", product.a, -1), ("b", product.b, 0)):
        channels = axis if product.is_linear else None
        if operand.parameter is not None:
            site = Site(f"{name}.{key}", "weight", "parameter", channels, layer=layer)
            quantizers.append(made.of_weight(site, parameters[operand.parameter]))
        else:
            quantizers.append(made.of(Site(f"{name}.{key}", "activation", operand.input_kind, channels, layer=layer)))
            quantizers[-1].inplace = operand.inplace
    module, own = network.get_submodule(module_of(name)), name.rpartition(".")[2]
    if hasattr(module, own):
        raise SrqError(f"the network has a {name} of its own, which is the name of a product")
    quantized = QuantizedProduct(*quantizers)
    module.add_module(own, quantized)
    return quantized


def _follow(network: nn.Module, products: Mapping[str, QuantizedProduct | None]) -> None:
    """Quantize the products whenever the network, or a part of it, runs; those of constants are only counted."""
    mode = QuantizedProducts(products)
    makers = {module_of(name) for name in products}
    inner: set[nn.Module] = set()
    for name, module in network.named_modules():
        if module in inner:
            continue
        if isinstance(module, QuantizedLayer):
            module.products = mode
        if isinstance(module, QuantizedLayer | QuantizedProduct):
            inner |= set(module.modules())
        elif name in makers or not _is_simple(module):
            mode.follow(module, None if isinstance(module, Quantizer) else name)


def _is_simple(module: nn.Module) -> bool:
    """Whether it is one of torch's modules without modules inside, such as LayerNorm; these make no product."""
    return type(module).__module__.startswith("torch.nn.") and next(module.children(), None) is None


def _layer(module: nn.Module, name: str) -> nn.Linear | nn.Conv2d:
    if not isinstance(module, nn.Linear | nn.Conv2d):
        raise SrqError(f"module {name} is a {type(module).__name__}; only Linear and Conv2d layers can be quantized")
    if not isinstance(module.weight, nn.Parameter):
        raise SrqError(f"the weight of layer {name} is computed from other parameters; open_network makes a plain one")
    return module


def _replace(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, module)
