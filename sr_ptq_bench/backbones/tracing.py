"""Learns from one forward pass what a backbone plugin must say of a network: layers, inputs, blocks, other products.

No layer is known by its name. A Linear or Conv2d layer can be quantized if the pass calls it, under one name, and
touches its parameters nowhere else; all other products of tensors are reported, with the modules that compute them.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ..quantization.quantizer import InputKind

MAKES: dict[str, InputKind] = {
    "conv2d": "conv",
    "linear": "linear",
    "layer_norm": "layernorm",
    "gelu": "gelu",
    "relu": "relu",
    "leaky_relu": "leakyrelu",
    "prelu": "leakyrelu",
    "softmax": "softmax",
    "scaled_dot_product_attention": "value",
}
"""What a function of torch makes, by its name without underscores at the ends."""
PASSES_ON = {
    "chunk", "clone", "contiguous", "detach", "dropout", "expand", "flatten", "flip", "float", "get", "getitem",
    "interpolate", "movedim", "narrow", "pad", "permute", "pixel_shuffle", "pixel_unshuffle", "repeat", "reshape",
    "roll", "rot90", "split", "squeeze", "swapaxes", "t", "to", "transpose", "type", "type_as", "unbind", "unflatten",
    "unfold", "unsqueeze", "view",
}  # fmt: skip
"""Functions that move values, or average a few neighbours, and make none of another kind."""
SUMS = {"add", "iadd", "isub", "radd", "rsub", "sub"}
JOINS = {"cat", "concat", "stack"}
SCALINGS = {"div", "imul", "itruediv", "mul", "rmul", "truediv"}
PRODUCTS = {"bmm", "einsum", "matmul", "rmatmul"}


@dataclass(frozen=True)
class Trace:
    """What one pass showed: `input_kinds` by layer in the order of the calls, blocks for `features`, other products."""

    input_kinds: dict[str, InputKind]
    features: tuple[str, ...]
    unquantized_ops: str
    """The products of other modules, in words, `*` for any number in a name; empty where there is none."""
    output: object


def trace(network: nn.Module, lr: Tensor) -> Trace:
    """Follow one forward pass of (1, 3, H, W)."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter, _Watch(network, lr, counter) as watch, watch.hooks():
        output = network(lr)
    layers = {name: input_kind for name, input_kind in watch.inputs.items() if name not in watch.touched}
    return Trace(layers, _blocks(network, watch), _not_covered(network, watch, layers), output)


class _Watch(TorchFunctionMode):
    """Sees every call of a function of torch and of a module."""

    def __init__(self, network: nn.Module, lr: Tensor, counter: FlopCounterMode) -> None:
        super().__init__()
        self._network, self._counter = network, counter
        self.layers = dict(_plain_layers(network))
        self._owner = {id(p): name for name, layer in self.layers.items() for p in layer.parameters()}
        self._made: dict[int, tuple[InputKind, Tensor]] = {id(lr): ("image", lr)}
        """What made each tensor, by its identity; the tensor itself keeps that from reuse."""
        self._at_work = [""]
        self.inputs: dict[str, InputKind] = {}
        self.touched: set[str] = set()
        """Layers whose parameters are used outside of their own call."""
        self.outputs: dict[str, list[object]] = defaultdict(list)
        self.macs: Counter[str] = Counter()
        self.products: Counter[str] = Counter()
        """Calls with products, and their multiply-accumulates, by the innermost module."""

    def hooks(self) -> ExitStack:
        """Follow the calls of all modules."""
        hooks = ExitStack()
        for name, module in self._network.named_modules():
            if name:
                hooks.callback(module.register_forward_pre_hook(self._enter(name)).remove)
                hooks.callback(module.register_forward_hook(self._leave(name)).remove)
        return hooks

    def _enter(self, name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def enter(_module: nn.Module, args: tuple[Any, ...]) -> None:
            self._at_work.append(name)
            if name in self.layers:
                input_kind = self._of(args[0]) or "other" if args else "other"
                self.inputs[name] = input_kind if self.inputs.get(name, input_kind) == input_kind else "other"

        return enter

    def _leave(self, name: str) -> Callable[[nn.Module, object, object], None]:
        def leave(_module: nn.Module, _args: object, output: object) -> None:
            self._at_work.pop()
            self.outputs[name].append(output)

        return leave

    def _of(self, tensor: Tensor) -> InputKind | None:
        """What made a tensor; None for a constant, which no function made of the image."""
        return self._made.get(id(tensor), (None,))[0]

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call a function of torch; note what it makes, the products in it and whose parameters it takes."""
        given = list(_tensors([*args, *(kwargs or {}).values()]))
        here = self._at_work[-1]
        self.touched |= {self._owner[id(v)] for v in given if self._owner.get(id(v), here) != here}
        input_kind = _made_by(func.__name__.strip("_"), [self._of(v) for v in given])
        before = self._counter.get_total_flops()
        result = func(*args, **(kwargs or {}))
        macs = (self._counter.get_total_flops() - before) // 2
        if macs:
            self.macs[here] += macs
            self.products[here] += 1
        for tensor in _tensors([result]):
            if input_kind and id(tensor) not in self._owner:
                self._made[id(tensor)] = input_kind, tensor
        return result


def _plain_layers(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The Linear and Conv2d layers of one name each; what derives from them, such as a shift of the mean, is none."""
    names: dict[int, list[str]] = defaultdict(list)
    for name, module in network.named_modules(remove_duplicate=False):
        names[id(module)].append(name)
    for name, module in network.named_modules():
        if type(module) in (nn.Linear, nn.Conv2d) and len(names[id(module)]) == 1:
            yield name, module


def _made_by(function: str, of: list[InputKind | None]) -> InputKind | None:
    """What a function makes of tensors of these kinds; None stands for constants."""
    known = [kind for kind in of if kind]
    kinds = set(known)
    if not known or (function in PASSES_ON):
        return of[0] if of else None
    if function in MAKES:
        return MAKES[function]
    if len(kinds) == 1 and (function in SUMS | JOINS or (function in SCALINGS and len(known) == 1)):
        return known[0]
    if function in SUMS:  # of residuals: bell-shaped, as a layer's output is
        return next((kind for kind in known if kind in ("conv", "linear")), "other")
    return "value" if function in PRODUCTS and "softmax" in kinds else "other"


def _blocks(network: nn.Module, watch: _Watch) -> tuple[str, ...]:
    """The outermost modules that stand in a row: of one class, in one parent, called once, each with one output.

    Outputs are tokens (N, L, C) or maps (N, C, H, W). Empty where there are none.
    """
    for parent, module in sorted(network.named_modules(), key=lambda named: named[0].count(".") + bool(named[0])):
        rows: dict[type, list[str]] = defaultdict(list)
        for name, child in module.named_children():
            if next(child.children(), None) is not None and not isinstance(child, nn.Sequential | nn.ModuleList):
                rows[type(child)].append(f"{parent}.{name}".lstrip("."))
        row = max(rows.values(), key=len, default=[])
        if len(row) > 1 and all(map(_is_feature, (watch.outputs[name] for name in row))):
            return tuple(row)
    return ()


def _is_feature(outputs: list[object]) -> bool:
    return len(outputs) == 1 and isinstance(outputs[0], Tensor) and outputs[0].ndim in (3, 4)


def _not_covered(network: nn.Module, watch: _Watch, layers: Mapping[str, InputKind]) -> str:
    places: Counter[str] = Counter()
    for name, products in watch.products.items():
        if name not in layers:
            kind = type(network.get_submodule(name)).__name__
            places[f"{kind} {re.sub('[0-9]+', '*', name)}".strip()] += products
    said = []
    if places:
        share = sum(macs for name, macs in watch.macs.items() if name not in layers) / watch.macs.total()
        said.append(f"{places.total()} products with {share:.1%} of all multiply-accumulates, in {', '.join(places)}")
    idle = len(watch.layers.keys() - watch.inputs.keys() - watch.touched)
    if idle:
        said.append(f"{idle} layers that a pass on noise does not call")
    return " and ".join(said)


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)
