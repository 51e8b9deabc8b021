"""Learns from forward passes what a backbone plugin must say of a network: layers, products, inputs, blocks.

No layer is known by its name. A Linear or Conv2d layer can be quantized if the pass calls it, under one name, and
touches its parameters nowhere else. A product of two tensors can be quantized if every pass makes it equally often.
Other products are reported, with the modules that compute them.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter, defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from ..errors import SrqError
from ..quantization.network import SRModel
from ..quantization.products import (
    ARGUMENTS,
    FUSED,
    FusedAttention,
    Product,
    ProductOperand,
    RunningModules,
    function_name,
    module_of,
    operands_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ..protocol.types import ScopeName
    from ..quantization.products import Operands
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
    FUSED: "value",
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
PRODUCTS = {"einsum", *ARGUMENTS} - {"linear"}
ENDS = PRODUCTS | {"linear", "conv2d", "softmax", FUSED}
"""Functions behind which a tensor is no longer the scores that a product has made for a softmax."""
VIEWS = {"detach", "get", "permute", "reshape", "squeeze", "t", "transpose", "unsqueeze", "view"}
"""Functions that may give all numbers of a parameter in another shape."""
ASKS = {"dim", "is_contiguous", "len", "numel", "size", "stride"}
"""Functions that ask for the shape of a tensor."""


TRACED_SIDE = 16
"""Pixels of the image on which a network is traced, unless it needs more."""
COUNT_SIDE = 64
"""Pixels: a multiple of the windows of all architectures that are known here."""


def open_network(
    network: nn.Module,
    name: str,
    scale: int,
    *,
    size_multiple: int = 1,
    min_side: int = 1,
    scope: ScopeName = "all",
    libraries: tuple[str, ...] = (),
) -> SRModel:
    """Make an SRModel of any network that upscales (N, 3, H, W), from passes of it over two small images of noise.

    Its layers and products become sites; nothing of it is rewritten. Raises SrqError that names a product which images
    of different sizes need differently often.
    """
    network.eval().requires_grad_(False)
    model = SRModel(name, scale, network, {}, (), size_multiple=size_multiple, min_side=min_side, scope=scope)
    side = model.smallest(TRACED_SIDE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch on other people's code
        seen = trace(network, noise(side), noise(side, 2 * side))
    layers = list(seen.input_kinds)
    return replace(
        model,
        input_kinds=seen.input_kinds,
        features=seen.features,
        first_last_layers=(layers[0], layers[-1]) if layers else (),
        unquantized_ops=seen.unquantized_ops,
        libraries=libraries,
        products=seen.products,
        count_side=COUNT_SIDE,
    )


def noise(height: int, width: int | None = None) -> Tensor:
    """An image of noise, always the same: (1, 3, height, width or height) in [0, 1]."""
    return torch.rand(1, 3, height, width or height, generator=torch.Generator().manual_seed(0))


@dataclass(frozen=True)
class Trace:
    """What a pass showed: `input_kinds` by layer in the order of the calls, `products`, blocks for `features`."""

    input_kinds: dict[str, InputKind]
    products: dict[str, Product]
    features: tuple[str, ...]
    unquantized_ops: str
    """The products of other modules, in words, `*` for any number in a name; empty where there is none."""
    output: object


def trace(network: nn.Module, lr: Tensor, other: Tensor | None = None) -> Trace:
    """Follow one forward pass of (1, 3, H, W), and one of an image of another size.

    Raises SrqError that names a product whose number of calls is not the same in both.
    """
    counter = FlopCounterMode(display=False)
    image = lr.clone()  # some networks overwrite their input
    watch = _Watch(network, counter)
    with torch.no_grad(), counter, watch, watch.hooks():
        output = network(image)
    layers = {name: input_kind for name, input_kind in watch.inputs.items() if name not in watch.touched}
    products = {name: watch.product(name) for name, seen in watch.products.items() if seen.module not in layers}
    _check_modules(watch)
    if other is not None:
        first = {name: seen.calls for name, seen in watch.products.items() if seen.module not in layers}
        second = {name: calls for name, calls in _calls(network, other).items() if module_of(name) not in layers}
        _check_same(first, second, _size(lr), _size(other))
    return Trace(layers, products, _blocks(network, watch), _not_covered(network, watch, layers), output)


@dataclass
class _SeenProduct:
    """A product by its operands: what made each, and the parameter that each is."""

    module: str
    function: str
    kinds: tuple[InputKind, InputKind]
    parameters: tuple[str | None, str | None]
    inplace: list[bool]
    memory: tuple[set[int], set[int]]
    calls: int = 0
    before_softmax: bool = False


class _Follow(TorchFunctionMode):
    """Knows which module is running, and how often each product is made."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.running = RunningModules()
        self.calls: Counter[str] = Counter()
        self.made: dict[str, set[int]] = defaultdict(set)
        """How many products the calls of a module made."""

    def hooks(self) -> ExitStack:
        """Follow the calls of all modules."""
        hooks = ExitStack()
        for name, module in self.network.named_modules():
            hooks.callback(module.register_forward_pre_hook(self._enter(name)).remove)
            hooks.callback(module.register_forward_hook(self._leave(name)).remove)
        return hooks

    def _enter(self, name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def enter(_module: nn.Module, args: tuple[Any, ...]) -> None:
            self.running.enter(name)
            self.begin(name, args)

        return enter

    def _leave(self, name: str) -> Callable[[nn.Module, object, object], None]:
        def leave(_module: nn.Module, _args: object, output: object) -> None:
            self.made[name].add(self.running.leave())
            self.end(name, output)

        return leave

    def begin(self, name: str, args: tuple[Any, ...]) -> None:
        """A module begins, with these arguments."""

    def end(self, name: str, output: object) -> None:
        """A module ends."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call a function of torch; count the products in it."""
        name, kwargs = function_name(func), kwargs or {}
        if name == FUSED or operands_of(name, args, kwargs) is not None:
            for _ in range(2 if name == FUSED else 1):
                self.calls[self.running.next_product()] += 1
        return func(*args, **kwargs)


def _calls(network: nn.Module, lr: Tensor) -> Counter[str]:
    """How often each product is made in a forward pass."""
    image = lr.clone()
    follow = _Follow(network)
    with torch.no_grad(), follow, follow.hooks():
        network(image)
    return follow.calls


def _check_same(first: Mapping[str, int], second: Mapping[str, int], size: str, other: str) -> None:
    for name in [*first, *second]:
        once, again = first.get(name, 0), second.get(name, 0)
        if once != again:
            times = f"{once} times for an image of {size} pixels and {again} times for one of {other}"
            raise SrqError(f"the network makes the product {name} {times}; such a product cannot be quantized")


def _check_modules(watch: _Watch) -> None:
    for module, numbers in watch.made.items():
        if len(numbers) > 1:
            odd = " or ".join(map(str, sorted(numbers)))
            raise SrqError(f"a call of the module {module} makes {odd} products; such products cannot be quantized")


def _size(lr: Tensor) -> str:
    return f"{lr.shape[-1]}x{lr.shape[-2]}"


class _Watch(_Follow):
    """Sees every call of a function of torch and of a module."""

    def __init__(self, network: nn.Module, counter: FlopCounterMode) -> None:
        super().__init__(network)
        self._counter = counter
        self.layers = dict(_plain_layers(network))
        self._owners: dict[int, set[str]] = defaultdict(set)
        """Layers by the identity of a parameter; several may share one."""
        for name, layer in self.layers.items():
            for parameter in layer.parameters():
                self._owners[id(parameter)].add(name)
        self._parameters: dict[int, tuple[str, Tensor]] = {id(p): (name, p) for name, p in network.named_parameters()}
        """Names of parameters, and of their views, by identity; the tensor itself keeps that from reuse."""
        self._made: dict[int, tuple[InputKind, Tensor]] = {}
        """What made each tensor, likewise."""
        self._scores: dict[int, frozenset[str]] = {}
        """The products that a tensor comes from without another product or a softmax in between."""
        self._operands: dict[int, tuple[str, int, Tensor]] = {}
        """The product that reads a tensor, and on which side, by the memory of the tensor, which its views share."""
        self._handed_on: dict[int, Tensor] = {}
        """What modules with layers or parameters take and give, by its memory: whoever has a hook there may keep it."""
        self.inputs: dict[str, InputKind] = {}
        self.touched: set[str] = set()
        """Layers whose parameters are used outside of their own call."""
        self._used: set[str] = set()
        """Parameters that something else than a layer or a product of two tensors uses."""
        self.outputs: dict[str, list[object]] = defaultdict(list)
        self.products: dict[str, _SeenProduct] = {}
        self.macs = 0
        self.others: Counter[str] = Counter()
        self.macs_of_others: Counter[str] = Counter()
        """Calls with products that are none of two tensors, and their multiply-accumulates, by the innermost module."""

    def begin(self, name: str, args: tuple[Any, ...]) -> None:
        """Note what made the input of a layer; the input of the network is the image."""
        if not name and args and isinstance(args[0], Tensor):
            self._made[id(args[0])] = "image", args[0]
        self._hand_on(name, args)
        if name in self.layers:
            input_kind = self._of(args[0]) or "other" if args else "other"
            self.inputs[name] = input_kind if self.inputs.get(name, input_kind) == input_kind else "other"

    def end(self, name: str, output: object) -> None:
        """Keep the output of a module."""
        self.outputs[name].append(output)
        self._hand_on(name, [output])

    def _hand_on(self, name: str, values: Iterable[Any]) -> None:
        module = self.network.get_submodule(name)
        if any(True for _ in (*module.children(), *module.parameters())):
            self._handed_on |= {_memory(v): v for v in _tensors(values)}

    def _of(self, tensor: Tensor) -> InputKind | None:
        """What made a tensor; None for a constant, which no function made of the image."""
        return self._made.get(id(tensor), (None,))[0]

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call a function of torch; note what it makes, the products in it and whose parameters it takes."""
        name, kwargs, here = function_name(func), kwargs or {}, self.running.name or ""
        given = list(_tensors([*args, *kwargs.values()]))
        if name not in ASKS | {"get"}:
            self.note_reads(given)
        input_kind = _made_by(name, [self._of(v) for v in given])
        scores = frozenset[str]().union(*(self._scores.get(id(v), ()) for v in given))
        products = self._note_products(name, args, kwargs)
        before = self._counter.get_total_flops()
        result = func(*args, **kwargs)
        macs = (self._counter.get_total_flops() - before) // 2
        self.macs += macs or _fused_macs(name, args, kwargs)
        made = list(_tensors([result]))
        if not (name in VIEWS | ASKS and (not made or self._is_view(given, made))):
            self._note_uses(given, here, bool(products))
        if macs and not products:
            self.others[here] += 1
            self.macs_of_others[here] += macs
        if name == "softmax":
            for product in scores:
                self.products[product].before_softmax = True
        for tensor in made:
            if input_kind and id(tensor) not in self._parameters:
                self._made[id(tensor)] = input_kind, tensor
            self._scores[id(tensor)] = frozenset(products) if name in ENDS else scores
        return result

    def _note_products(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[str]:
        """Note the products of a call, and return their names."""
        if name == FUSED:
            fused = FusedAttention(*args, **kwargs)
            value = self._of(fused.value) or "other"
            first, second = self._note("query", "key", name), self._note("softmax", value, name)
            self.products[first].before_softmax = True
            for product in (first, second):
                self.products[product].inplace = [True, False]  # left is a new tensor, right the caller's
            return [first, second]
        operands = operands_of(name, args, kwargs)
        if operands is None:
            return []
        a, b = (self._of(operand) or "other" for operand in operands)
        is_layer = name == "linear" and isinstance(operands.b, nn.Parameter)
        return [self._note(a, b, name if is_layer else "matmul", operands)]

    def _note(self, a: InputKind, b: InputKind, function: str, operands: Operands | None = None) -> str:
        name = self.running.next_product()
        known = [self._parameters.get(id(v), (None,))[0] for v in operands] if operands else [None, None]
        seen = self.products.setdefault(
            name,
            _SeenProduct(self.running.name or "", function, (a, b), (known[0], known[1]), [True, True], (set(), set())),
        )
        if operands:
            self._note_operands(name, seen, operands)
        if seen.kinds != (a, b):
            seen.kinds = tuple(old if old == new else "other" for old, new in zip(seen.kinds, (a, b), strict=True))  # type: ignore[assignment]
        if seen.parameters != tuple(known):
            self._used |= {parameter for parameter in (*seen.parameters, *known) if parameter}
        seen.calls += 1
        return name

    def note_reads(self, tensors: Iterable[Tensor]) -> None:
        """Nothing may overwrite an operand that is read after its product."""
        for memory in {_memory(v) for v in tensors} & self._operands.keys():
            product, side, _ = self._operands[memory]
            self.products[product].inplace[side] = False

    def _note_operands(self, name: str, seen: _SeenProduct, operands: Operands) -> None:
        """An operand may be overwritten if it was made of the image, and for this product alone."""
        shared = _memory(operands.a) == _memory(operands.b)
        for side, operand in enumerate(operands):
            if shared or self._of(operand) is None:
                seen.inplace[side] = False
            seen.memory[side].add(_memory(operand))
            self._operands[_memory(operand)] = name, side, operand

    def _is_view(self, given: Sequence[Tensor], made: Sequence[Tensor]) -> bool:
        """Whether the function gives a parameter in another shape; the view is then known as that parameter."""
        if len(given) != 1 or len(made) != 1 or id(given[0]) not in self._parameters:
            return False
        same = given[0].untyped_storage().data_ptr() == made[0].untyped_storage().data_ptr()
        if not same or made[0].numel() != given[0].numel():
            return False
        self._parameters.setdefault(id(made[0]), (self._parameters[id(given[0])][0], made[0]))
        return True

    def _note_uses(self, given: Sequence[Tensor], here: str, is_product: bool) -> None:
        """Note whose parameters a function takes."""
        for v in given:
            owners = self._owners_of(v)
            if owners and here not in owners:
                self.touched |= owners
            if id(v) in self._parameters and not is_product and here not in owners:
                self._used.add(self._parameters[id(v)][0])

    def _owners_of(self, v: Tensor) -> set[str]:
        if id(v) not in self._parameters:
            return set()
        return self._owners.get(id(self.network.get_parameter(self._parameters[id(v)][0])), set())

    def product(self, name: str) -> Product:
        """What a product is of; for a softmax its mate is the value, and what leads to one is of query and key."""
        seen = self.products[name]
        a, b = seen.kinds
        if "softmax" in seen.kinds:
            a, b = (kind if kind == "softmax" else "value" for kind in seen.kinds)
        elif seen.before_softmax:
            a, b = "query", "key"
        left, right = (
            _operand(
                kind, parameter if parameter not in self._used else None, free and not memory & self._handed_on.keys()
            )
            for kind, parameter, free, memory in zip((a, b), seen.parameters, seen.inplace, seen.memory, strict=True)
        )
        return Product(left, right, is_linear=seen.function == "linear" and right.parameter is not None)


def _operand(kind: InputKind, parameter: str | None, inplace: bool) -> ProductOperand:
    return ProductOperand("parameter", parameter) if parameter else ProductOperand(kind, inplace=inplace)


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

    Outputs are tokens (N, L, C) or maps (N, C, H, W). Empty if there are none.
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


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _fused_macs(function: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> int:
    """Of fused attention, which torch counts on some devices only."""
    if function != FUSED:
        return 0
    fused = FusedAttention(*args, **kwargs)
    return (
        fused.query.numel() * fused.key.shape[-2] * (fused.key.shape[-1] + fused.value.shape[-1]) // fused.key.shape[-1]
    )


def _not_covered(network: nn.Module, watch: _Watch, layers: Mapping[str, InputKind]) -> str:
    places: Counter[str] = Counter()
    for name, products in watch.others.items():
        if name not in layers:
            kind = type(network.get_submodule(name)).__name__
            places[f"{kind} {re.sub('[0-9]+', '*', name)}".strip()] += products
    said = []
    if places:
        share = sum(macs for name, macs in watch.macs_of_others.items() if name not in layers) / watch.macs
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
