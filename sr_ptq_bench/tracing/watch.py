"""Sees every call of a function of torch and of a module in a forward pass."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..quantization.products.functions import FUSED, FusedAttention, function_name, memory_of, operands_of, tensors_in
from ..quantization.products.product import Product, ProductOperand
from .follow import Follow
from .functions import ASKS, ENDS, VIEWS, made_by
from .tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ..quantization.products.functions import Operands
    from ..quantization.quantizer import InputKind


@dataclass
class SeenProduct:
    """A product by its operands: what made each, and the parameter that each is."""

    module: str
    function: str
    kinds: tuple[InputKind, InputKind]
    parameters: tuple[str | None, str | None]
    inplace: list[bool]
    memory: tuple[set[int], set[int]]
    calls: int = 0
    before_softmax: bool = False
    constant: tuple[bool, bool] = (True, True)
    """Whether each operand comes from parameters and buffers alone."""


class Watch(Follow):
    """Sees every call of a function of torch and of a module."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network)
        self.tally = Tally()
        self.layers = dict(_plain_layers(network))
        self._owners: dict[int, set[str]] = defaultdict(set)
        """Layers by the identity of a parameter; several may share one."""
        for name, layer in self.layers.items():
            for parameter in layer.parameters():
                self._owners[id(parameter)].add(name)
        self._parameters: dict[int, tuple[str, Tensor]] = {id(p): (name, p) for name, p in network.named_parameters()}
        """Names of parameters, and of their views, by `id`; the tensor is kept so that its `id` is not reused."""
        self._constants: dict[int, Tensor] = {id(v): v for v in (*network.parameters(), *network.buffers())}
        """What is computed from parameters and buffers alone, by `id` too."""
        self._made: dict[int, tuple[InputKind, Tensor]] = {}
        """What made each tensor, by `id` too."""
        self._scores: dict[int, frozenset[str]] = {}
        """The products that a tensor comes from without another product or a softmax in between."""
        self._operands: dict[int, tuple[str, int, Tensor]] = {}
        """The product that reads a tensor, and on which side, by the tensor's memory, which its views share."""
        self._handed_on: dict[int, Tensor] = {}
        """Inputs and outputs of modules with layers or parameters, by memory: a hook may keep these tensors."""
        self.inputs: dict[str, InputKind] = {}
        self.touched: set[str] = set()
        """Layers whose parameters are used outside of their own call."""
        self._used: set[str] = set()
        """Parameters that are used by something else than a layer or a product of two tensors."""
        self.outputs: dict[str, list[object]] = defaultdict(list)
        self.products: dict[str, SeenProduct] = {}

    def pass_of(self, lr: Tensor) -> object:
        """The output of one forward pass; some networks overwrite their input, so they get a copy."""
        image = lr.clone()
        with torch.no_grad(), self.tally.counting(), self, self.hooks():
            return self.network(image)

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
            self._handed_on |= {memory_of(v): v for v in tensors_in(values)}

    def _of(self, tensor: Tensor) -> InputKind | None:
        """What made a tensor; None for a constant, which no function made of the image."""
        return self._made.get(id(tensor), (None,))[0]

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call a function of torch; note what it makes, its products, and the layers of its parameters."""
        name, kwargs, here = function_name(func), kwargs or {}, self.running.name or ""
        given = list(tensors_in([*args, *kwargs.values()]))
        if name not in ASKS | {"get"}:
            self.note_reads(given)
        input_kind = made_by(name, [self._of(v) for v in given])
        scores = frozenset[str]().union(*(self._scores.get(id(v), ()) for v in given))
        products = self._note_products(name, args, kwargs)
        result, macs = self.tally.call(func, args, kwargs)
        made = list(tensors_in([result]))
        if not (name in VIEWS | ASKS and (not made or self._is_view(given, made))):
            self._note_uses(given, here, bool(products))
        if macs and not products:
            self.tally.note_other(here, macs)
        if name == "softmax":
            for product in scores:
                self.products[product].before_softmax = True
        if given and all(id(v) in self._constants for v in given):
            self._constants |= {id(tensor): tensor for tensor in made}
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
            SeenProduct(self.running.name or "", function, (a, b), (known[0], known[1]), [True, True], (set(), set())),
        )
        if operands:
            self._note_operands(name, seen, operands)
        now = [id(v) in self._constants for v in operands] if operands else [False, False]
        seen.constant = seen.constant[0] and now[0], seen.constant[1] and now[1]
        if seen.kinds != (a, b):
            seen.kinds = tuple(old if old == new else "other" for old, new in zip(seen.kinds, (a, b), strict=True))  # type: ignore[assignment]
        if seen.parameters != tuple(known):
            self._used |= {parameter for parameter in (*seen.parameters, *known) if parameter}
        seen.calls += 1
        return name

    def note_reads(self, tensors: Iterable[Tensor]) -> None:
        """An operand that is read after its product must not be overwritten."""
        for memory in {memory_of(v) for v in tensors} & self._operands.keys():
            product, side, _ = self._operands[memory]
            self.products[product].inplace[side] = False

    def _note_operands(self, name: str, seen: SeenProduct, operands: Operands) -> None:
        """An operand may be overwritten if it depends on the image and only this product reads it."""
        shared = memory_of(operands.a) == memory_of(operands.b)
        for side, operand in enumerate(operands):
            if shared or self._of(operand) is None:
                seen.inplace[side] = False
            seen.memory[side].add(memory_of(operand))
            self._operands[memory_of(operand)] = name, side, operand

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
        """Note the layers of the parameters that a function takes."""
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
        """The operands of a product: softmax and value; query and key, if a softmax follows; else what made them."""
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
        is_linear = seen.function == "linear" and right.parameter is not None
        return Product(left, right, is_linear=is_linear, is_constant=all(seen.constant))

    def computed_operands(self, products: Mapping[str, Product]) -> list[str]:
        """The operands of these products that do not depend on the image and are no parameter: such as `matmul0.b`."""
        return [
            f"{name}.{side}"
            for name, product in products.items()
            for side, of, constant in zip("ab", (product.a, product.b), self.products[name].constant, strict=True)
            if constant and of.parameter is None and not product.is_constant
        ]


def _operand(kind: InputKind, parameter: str | None, inplace: bool) -> ProductOperand:
    return ProductOperand("parameter", parameter) if parameter else ProductOperand(kind, inplace=inplace)


def _plain_layers(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The Linear and Conv2d layers with one name; derived classes, such as a shift of the mean, are left out."""
    names: dict[int, list[str]] = defaultdict(list)
    for name, module in network.named_modules(remove_duplicate=False):
        names[id(module)].append(name)
    for name, module in network.named_modules():
        if type(module) in (nn.Linear, nn.Conv2d) and len(names[id(module)]) == 1:
            yield name, module
