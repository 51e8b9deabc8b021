"""A product: its operands, and its name, made of its module and its number in a call of that module."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..quantizer import InputKind


@dataclass(frozen=True)
class ProductOperand:
    """One operand: what makes it, or the name of its parameter.

    `inplace` promises that nothing else reads the tensor, so that its quantizer may overwrite it.
    """

    input_kind: InputKind
    parameter: str | None = None
    inplace: bool = False


@dataclass(frozen=True)
class Product:
    """A product of two tensors; `is_linear` if the code calls the function of a Linear layer.

    With `is_constant` no operand depends on the image: a deployed network has the result, so it stays FP.
    """

    a: ProductOperand
    b: ProductOperand
    is_linear: bool = False
    is_constant: bool = False

    def free_as(self, other: Product | None) -> Product:
        """The same product; its quantizers may overwrite an operand only if they may in `other` too."""
        a, b = (other.a.inplace, other.b.inplace) if other else (False, False)
        return replace(
            self,
            a=replace(self.a, inplace=self.a.inplace and a),
            b=replace(self.b, inplace=self.b.inplace and b),
        )


class RunningModules(threading.local):
    """Knows from hooks which module of a network is running, and how many products its present call has made.

    Every thread has its own; a copy begins with none.
    """

    def __init__(self) -> None:
        self._calls: list[tuple[str | None, int]] = []

    def __reduce__(self) -> tuple[type[RunningModules], tuple[()]]:
        return RunningModules, ()

    def __bool__(self) -> bool:
        return bool(self._calls)

    @property
    def name(self) -> str | None:
        """The innermost running module; empty for the network itself, None in a module whose products are ignored."""
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

    def abandon(self) -> None:
        """No module is running any more."""
        self._calls.clear()


def product_name(module: str, number: int) -> str:
    """The name of a product by its module and its number in it."""
    return f"{module}.matmul{number}".lstrip(".")


def module_of(product: str) -> str:
    """The module that makes a product; empty for the network itself."""
    return product.rpartition(".")[0]
