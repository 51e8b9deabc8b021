"""Quantizes the operands of products in a network without a change of its code."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.overrides import TorchFunctionMode, _get_current_function_mode

from ...errors import SrqError
from ..quantizer import Quantizer
from .functions import FUSED, FusedAttention, Operands, function_name, may_multiply, operands_of, with_operands
from .product import RunningModules, module_of, product_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


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
        return any(q.enabled or q._forward_pre_hooks or q._forward_hooks for q in (self.a, self.b))


class QuantizedProducts(TorchFunctionMode):
    """Quantizes the operands of all products that a network makes while it, or a module of it, runs.

    A product of constants is None, and stays as it is. Raises SrqError from a pass that makes an unknown product, or
    lacks a known one.
    """

    def __init__(self, products: Mapping[str, QuantizedProduct | None]) -> None:
        super().__init__()
        self._products = dict(products)
        self._numbers = Counter(module_of(name) for name in products)
        self._running = RunningModules()

    def follow(self, module: nn.Module, name: str | None) -> None:
        """Quantize products while this module runs; without a name, leave its products as they are."""
        module.register_forward_pre_hook(_Enter(self, name))
        module.register_forward_hook(_Leave(self, name), always_call=True)

    def enter(self, name: str | None) -> None:
        """A module begins."""
        if not self._running:
            self._push()
        self._running.enter(name)

    def leave(self, name: str | None, output: object) -> None:
        """A module ends; its output is None after an error of its own."""
        made = self._running.leave()
        if not self._running:
            self._pop()
        if output is not None and name is not None and made < self._numbers[name]:
            raise _other_number(product_name(name, made))

    def abandon(self) -> None:
        """End after an interrupt in a pass, for which torch calls no hook: products of other code are not quantized."""
        self._running.abandon()
        if _get_current_function_mode() is self:
            self._pop()

    def pause(self) -> bool:
        """Leave products as they are until `resume`, as in a quantized layer, which makes hundreds of calls.

        Returns whether the mode was taken off for that; it stays if another mode was entered since.
        """
        self._running.enter(None)
        off = _get_current_function_mode() is self
        if off:
            self._pop()
        return off

    def resume(self, off: bool) -> None:
        """The end of a pause that returned `off`."""
        if off:
            self._push()
        self._running.leave()

    def _push(self) -> None:
        self.__enter__()  # type: ignore[no-untyped-call]

    def _pop(self) -> None:
        self.__exit__(None, None, None)  # type: ignore[no-untyped-call]

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call a function of torch; with quantized operands if it is a product."""
        kwargs = kwargs or {}
        if not may_multiply(func):  # first, because a network makes thousands of such calls
            return func(*args, **kwargs)
        name, module = function_name(func), self._running.name
        if module is None:
            return func(*args, **kwargs)
        if name == FUSED:
            return self._attend(func, FusedAttention(*args, **kwargs))
        operands = operands_of(name, args, kwargs)
        if operands is None or (name == "linear" and not self._numbers[module]):
            return func(*args, **kwargs)
        product = self._next()
        if product is not None:
            args, kwargs = with_operands(name, args, kwargs, product(operands))
        return func(*args, **kwargs)

    def _attend(self, func: Callable[..., Any], attention: FusedAttention) -> Any:
        """Two products if one of them is quantized or watched; else the network's own call, to the last bit."""
        first, second = self._next(), self._next()
        if first and second and (first.is_used or second.is_used):
            return attention.compute(first, second)
        return func(*attention[:3], **attention.options())

    def _next(self) -> QuantizedProduct | None:
        name = self._running.next_product()
        if name not in self._products:
            raise _other_number(name)
        return self._products[name]


class _Enter:
    """The hook for the start of a module; an object and no closure, so that a copied network has its own hooks."""

    def __init__(self, mode: QuantizedProducts, name: str | None) -> None:
        self._mode, self._name = mode, name

    def __call__(self, _module: nn.Module, _args: object) -> None:
        self._mode.enter(self._name)


class _Leave:
    """The hook for the end of a module."""

    def __init__(self, mode: QuantizedProducts, name: str | None) -> None:
        self.mode, self._name = mode, name

    def __call__(self, _module: nn.Module, _args: object, output: object) -> None:
        self.mode.leave(self._name, output)


def abandon_pass(network: nn.Module) -> None:
    """End what an interrupted pass of a network has begun."""
    for hook in network._forward_hooks.values():
        if isinstance(hook, _Leave):
            hook.mode.abandon()


def _other_number(product: str) -> SrqError:
    return SrqError(
        f"whether the network makes the product {product} depends on the image or on the number of images; "
        "such a product cannot be quantized"
    )
