"""The products of tensors in a network's own code, seen without touching the code.

A mode of torch sees every call of a function during a forward pass; hooks know which module is running. The name of a
product is that of its module and its number among the products of one call of that module (`attn.matmul0`). Its
operands are `a` and `b`, left and right. `scaled_dot_product_attention` is two products.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, _get_current_function_mode

from ..errors import SrqError
from .quantizer import Quantizer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .quantizer import InputKind

FUSED = "scaled_dot_product_attention"
ARGUMENTS: dict[str, tuple[tuple[int, str], tuple[int, str]]] = {
    "matmul": ((0, "input"), (1, "other")),
    "linalg_matmul": ((0, "input"), (1, "other")),
    "rmatmul": ((1, "other"), (0, "self")),
    "mm": ((0, "input"), (1, "mat2")),
    "bmm": ((0, "input"), (1, "mat2")),
    "mv": ((0, "input"), (1, "vec")),
    "inner": ((0, "input"), (1, "other")),
    "tensordot": ((0, "a"), (1, "b")),
    "addmm": ((1, "mat1"), (2, "mat2")),
    "addmv": ((1, "mat"), (2, "vec")),
    "addbmm": ((1, "batch1"), (2, "batch2")),
    "baddbmm": ((1, "batch1"), (2, "batch2")),
    "linear": ((0, "input"), (1, "weight")),
}
"""Where each function takes the operands of its product: position and keyword, by its name without underscores."""
FUNCTIONS = {*ARGUMENTS, "einsum", FUSED}
"""All functions that may be products of two tensors."""


class Operands(NamedTuple):
    """The two operands of a product."""

    a: Tensor
    b: Tensor


@dataclass(frozen=True)
class ProductOperand:
    """What is known of one operand: what makes it, or the name of the parameter that it is.

    `inplace` promises that nothing else reads the tensor, so that its quantizer may overwrite it.
    """

    input_kind: InputKind
    parameter: str | None = None
    inplace: bool = False


@dataclass(frozen=True)
class Product:
    """A product of two tensors; `is_linear` where the code calls the function of a Linear layer."""

    a: ProductOperand
    b: ProductOperand
    is_linear: bool = False


@lru_cache(maxsize=4096)
def function_name(function: Callable[..., Any]) -> str:
    """The name of a function of torch without underscores at the ends: `matmul` for `@`, `baddbmm` for `baddbmm_`."""
    return str(getattr(function, "__name__", "")).strip("_")


def operands_of(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Operands | None:
    """The operands of a call of the function of this name; None if it is no product of two tensors."""
    if name == "einsum":
        found = _einsum_operands(args)
    elif name in ARGUMENTS:
        found = [args[place] if place < len(args) else kwargs.get(key) for place, key in ARGUMENTS[name]]
    else:
        return None
    a, b = found if len(found) == 2 else (None, None)
    return Operands(a, b) if isinstance(a, Tensor) and isinstance(b, Tensor) else None


def with_operands(
    name: str, args: Sequence[Any], kwargs: Mapping[str, Any], operands: Operands
) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of the same call with other operands."""
    if name == "einsum":
        return [args[0], *operands], dict(kwargs)
    changed, named = list(args), dict(kwargs)
    for (place, key), operand in zip(ARGUMENTS[name], operands, strict=True):
        if place < len(changed):
            changed[place] = operand
        else:
            named[key] = operand
    return changed, named


def _einsum_operands(args: Sequence[Any]) -> list[Any]:
    """All operands of an einsum whose equation is a string; they may come as one list."""
    if not args or not isinstance(args[0], str):
        return []
    return list(args[1]) if len(args) == 2 and isinstance(args[1], list | tuple) else list(args[1:])


class FusedAttention(NamedTuple):
    """The arguments of `scaled_dot_product_attention`."""

    query: Tensor
    key: Tensor
    value: Tensor
    attn_mask: Tensor | None = None
    dropout_p: float = 0.0
    is_causal: bool = False
    scale: float | None = None
    enable_gqa: bool = False

    def options(self) -> dict[str, Any]:
        """The arguments after query, key and value."""
        return dict(zip(self._fields[3:], self[3:], strict=True))

    def compute(self, first: Callable[[Operands], Operands], second: Callable[[Operands], Operands]) -> Tensor:
        """Attend by two products and a softmax; `first` and `second` may change the operands of each.

        Query (..., L, E), key (..., S, E), value (..., S, V) -> (..., L, V). The scale goes to the query.
        """
        key, value = self.key, self.value
        if self.enable_gqa:
            heads = self.query.shape[-3]
            key, value = (v.repeat_interleave(heads // v.shape[-3], -3) for v in (key, value))
        scale = 1 / math.sqrt(self.query.shape[-1]) if self.scale is None else self.scale
        scores = torch.matmul(*first(Operands(self.query * scale, key.transpose(-2, -1))))
        if self.is_causal:
            allowed = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
            scores = scores.masked_fill(~allowed, -torch.inf)
        if self.attn_mask is not None and self.attn_mask.dtype == torch.bool:
            scores = scores.masked_fill(~self.attn_mask, -torch.inf)
        elif self.attn_mask is not None:
            scores = scores + self.attn_mask
        attention = F.dropout(torch.softmax(scores, -1), self.dropout_p)
        attention = attention.masked_fill((scores == -torch.inf).all(-1, keepdim=True), 0.0)
        return torch.matmul(*second(Operands(attention, value)))


class RunningModules:
    """Knows, from hooks, which module of a network is running, and how many products its present call has made."""

    def __init__(self) -> None:
        self._calls: list[tuple[str | None, int]] = []

    def __bool__(self) -> bool:
        return bool(self._calls)

    @property
    def name(self) -> str | None:
        """The innermost running module; empty for the network itself, None for a module that is not looked into."""
        return self._calls[-1][0] if self._calls else ""

    def next_product(self) -> str:
        """The name of the product that comes next in the running module."""
        module, number = self._calls[-1]
        self._calls[-1] = module, number + 1
        return product_name(module or "", number)

    def enter(self, name: str | None) -> None:
        """A module begins."""
        self._calls.append((name, 0))

    def leave(self) -> int:
        """The innermost module ends; returns how many products its call made."""
        return self._calls.pop()[1]


def product_name(module: str, number: int) -> str:
    """The name of a product by its module and its number in it."""
    return f"{module}.matmul{number}".lstrip(".")


def module_of(product: str) -> str:
    """The module that makes a product; empty for the network itself."""
    return product.rpartition(".")[0]


class QuantizedProduct(nn.Module):
    """The quantizers of the operands of one product."""

    def __init__(self, a: Quantizer, b: Quantizer) -> None:
        super().__init__()
        self.a, self.b = a, b

    def forward(self, operands: Operands) -> Operands:
        """Quantize both operands."""
        return Operands(self.a(operands.a), self.b(operands.b))

    @property
    def is_used(self) -> bool:
        """Whether an operand is quantized or watched."""
        return any(quantizer.enabled or quantizer._forward_pre_hooks for quantizer in (self.a, self.b))


class QuantizedProducts(TorchFunctionMode):
    """Quantizes the operands of all products that a network makes while it, or a module of it, runs.

    Raises SrqError from a pass that makes other products than there are quantizers for.
    """

    def __init__(self, products: Mapping[str, QuantizedProduct]) -> None:
        super().__init__()
        self._products = dict(products)
        self._numbers = Counter(module_of(name) for name in products)
        self._running = RunningModules()
        self._paused = False

    def follow(self, module: nn.Module, name: str | None) -> None:
        """Be at work while this module runs; without a name, leave alone what it does."""
        module.register_forward_pre_hook(_Enter(self, name))
        module.register_forward_hook(_Leave(self, name), always_call=True)

    def enter(self, name: str | None) -> None:
        """A module begins."""
        if not self._running:
            self._push()
        self._running.enter(name)
        # A quantized layer makes hundreds of calls; it is not looked into unless another mode was entered since.
        self._paused = name is None and _get_current_function_mode() is self
        if self._paused:
            self._pop()

    def leave(self, name: str | None, output: object) -> None:
        """A module ends; its output is None after an error of its own."""
        if self._paused:
            self._push()
            self._paused = False
        made = self._running.leave()
        if not self._running:
            self._pop()
        if output is not None and name is not None and made < self._numbers[name]:
            raise _other_number(product_name(name, made))

    def _push(self) -> None:
        self.__enter__()  # type: ignore[no-untyped-call]

    def _pop(self) -> None:
        self.__exit__(None, None, None)  # type: ignore[no-untyped-call]

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call a function of torch, with quantized operands where it is a product."""
        name, module, kwargs = function_name(func), self._running.name, kwargs or {}
        if module is None or name not in FUNCTIONS:
            return func(*args, **kwargs)
        if name == FUSED:
            return self._attend(func, FusedAttention(*args, **kwargs))
        operands = operands_of(name, args, kwargs)
        if operands is None or (name == "linear" and not self._numbers[module]):
            return func(*args, **kwargs)
        args, kwargs = with_operands(name, args, kwargs, self._next()(operands))
        return func(*args, **kwargs)

    def _attend(self, func: Callable[..., Any], attention: FusedAttention) -> Any:
        """By two products where one is quantized or watched; else as the network does, to the last bit."""
        first, second = self._next(), self._next()
        if first.is_used or second.is_used:
            return attention.compute(first, second)
        return func(*attention[:3], **attention.options())

    def _next(self) -> QuantizedProduct:
        name = self._running.next_product()
        if name not in self._products:
            raise _other_number(name)
        return self._products[name]


class _Enter:
    """The hook for the begin of a module; an object and no closure, so that a copied network has hooks of its own."""

    def __init__(self, mode: QuantizedProducts, name: str | None) -> None:
        self._mode, self._name = mode, name

    def __call__(self, _module: nn.Module, _args: object) -> None:
        self._mode.enter(self._name)


class _Leave:
    """The hook for the end of a module."""

    def __init__(self, mode: QuantizedProducts, name: str | None) -> None:
        self._mode, self._name = mode, name

    def __call__(self, _module: nn.Module, _args: object, output: object) -> None:
        self._mode.leave(self._name, output)


def _other_number(product: str) -> SrqError:
    return SrqError(
        f"whether the network makes the product {product} depends on the image or on the number of images; "
        "such a product cannot be quantized"
    )
