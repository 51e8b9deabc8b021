"""Learns from forward passes what a backbone plugin must tell about a network: layers, products, inputs, blocks.

No layer is known by its name. A Linear or Conv2d layer can be quantized if the pass calls it, under one name, and
uses its parameters nowhere else. A product of two tensors can be quantized if every pass makes it equally often.
Other products are reported, with the modules that compute them.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor, nn

from ..errors import SrqError
from ..quantization.products.product import Product, module_of
from .follow import count_calls
from .watch import Watch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..quantization.quantizer import InputKind


@dataclass(frozen=True)
class Trace:
    """What a pass showed: `input_kinds` by layer in the order of the calls, `products`, blocks for `features`."""

    input_kinds: dict[str, InputKind]
    products: dict[str, Product]
    features: tuple[str, ...]
    unquantized_ops: str
    """The products of other modules, in words, `*` for any number in a name; empty if there are none."""
    output: object


def trace(network: nn.Module, lr: Tensor, other: Tensor | None = None, smallest: Tensor | None = None) -> Trace:
    """Follow one forward pass of (1, 3, H, W), one of an image of another size, and one of the smallest image.

    The smallest one shows which operands share their memory with another tensor only there, where a permutation of
    windows moves nothing. Raises SrqError that names a product whose number of calls is not the same in the first two.
    """
    watch = Watch(network)
    output = watch.pass_of(lr)
    layers = {name: input_kind for name, input_kind in watch.inputs.items() if name not in watch.touched}
    products = {name: watch.product(name) for name, seen in watch.products.items() if seen.module not in layers}
    _check_modules(watch)
    if other is not None:
        first = {name: seen.calls for name, seen in watch.products.items() if seen.module not in layers}
        second = {name: calls for name, calls in count_calls(network, other).items() if module_of(name) not in layers}
        _check_same(first, second, _size(lr), _size(other))
    if smallest is not None:
        small = _products_of(network, smallest)
        products = {name: product.free_as(small.get(name)) for name, product in products.items()}
    return Trace(layers, products, _blocks(network, watch), _not_covered(network, watch, layers, products), output)


def _products_of(network: nn.Module, lr: Tensor) -> dict[str, Product]:
    """The products of a pass; none if the network cannot take so small an image, although it says so."""
    watch = Watch(network)
    try:
        watch.pass_of(lr)
    except Exception:
        return {}
    return {name: watch.product(name) for name in watch.products}


def _check_same(first: Mapping[str, int], second: Mapping[str, int], size: str, other: str) -> None:
    for name in [*first, *second]:
        once, again = first.get(name, 0), second.get(name, 0)
        if once != again:
            times = f"{once} times for an image of {size} pixels and {again} times for one of {other}"
            raise SrqError(f"the network makes the product {name} {times}; such a product cannot be quantized")


def _check_modules(watch: Watch) -> None:
    for module, numbers in watch.made.items():
        if len(numbers) > 1:
            odd = " or ".join(map(str, sorted(numbers)))
            raise SrqError(f"a call of the module {module} makes {odd} products; such products cannot be quantized")


def _size(lr: Tensor) -> str:
    return f"{lr.shape[-1]}x{lr.shape[-2]}"


def _blocks(network: nn.Module, watch: Watch) -> tuple[str, ...]:
    """The outermost blocks: modules of one class, in one parent, each called once with one output.

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


def _not_covered(
    network: nn.Module, watch: Watch, layers: Mapping[str, InputKind], products: Mapping[str, Product]
) -> str:
    tally, places = watch.tally, Counter[str]()
    for name, calls in tally.others.items():
        if name not in layers:
            kind = type(network.get_submodule(name)).__name__
            places[f"{kind} {re.sub('[0-9]+', '*', name)}".strip()] += calls
    said = []
    if places:
        share = sum(macs for name, macs in tally.macs_of_others.items() if name not in layers) / tally.macs
        said.append(f"{places.total()} products with {share:.1%} of all multiply-accumulates, in {', '.join(places)}")
    if tally.hidden:
        said.append(f"code that torch does not show, with {tally.hidden / tally.macs:.1%} of all multiply-accumulates")
    if tally.uncounted:
        said.append(
            f"{tally.uncounted.total()} calls of {', '.join(tally.uncounted)}, whose multiply-accumulates do not count"
        )
    idle = len(watch.layers.keys() - watch.inputs.keys() - watch.touched)
    if idle:
        said.append(f"{idle} layers that a pass on noise does not call")
    computed = watch.computed_operands(products)
    if computed:
        which = ", ".join(dict.fromkeys(re.sub("[0-9]+", "*", name) for name in computed))
        what = f"the parameters behind {len(computed)} operands that do not depend on the image, {which}"
        said.append(f"{what}, which have the bits of activations")
    return " and ".join(said)
