"""Multiply-accumulates (MACs) of a network by the sites that they multiply, counted while it runs."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from ..quantize import QuantizedLayer
from ..quantizer import Quantizer
from ..student import quantizers_off
from .functions import memory_of, tensors_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ..student import Student


class Macs(NamedTuple):
    """MACs of one forward pass: those of two sites by their names, and all there are."""

    of_sites: Mapping[tuple[str, str], int]
    total: int


def site_macs(student: Student) -> dict[tuple[str, str], int]:
    """MACs of products of two sites in one forward pass of the smallest image, by the names of the sites.

    A layer multiplies its weight and its input, a product of tensors its two operands.
    """
    return dict(count_macs(student, student.model.smallest()).of_sites)


def count_macs(student: Student, side: int) -> Macs:
    """MACs of one forward pass of an image of this side that needs no padding, in full precision.

    Every product that torch computes counts: of layers or of matrices, in any module or function. Biases, norms and
    interpolations are no products.
    """
    lr = torch.zeros(1, 3, side, side, device=student.device)
    # The network itself, because padding at test time may add to an image that needs none.
    with torch.no_grad(), quantizers_off(student), _counted(student.network) as products:
        student.network(lr)
    return products.macs()


@contextmanager
def _counted(network: nn.Module) -> Iterator[_Products]:
    """Count the products of a student's network while its quantizers are off."""
    layers = [module for module in network.modules() if isinstance(module, QuantizedLayer)]
    of_layers = {id(quantizer) for layer in layers for quantizer in layer.children()}
    with FlopCounterMode(display=False) as counter, _Products(counter) as products, ExitStack() as hooks:
        for layer in layers:
            hooks.callback(layer.register_forward_pre_hook(products.open_layer).remove)
            hooks.callback(layer.register_forward_hook(products.close_layer).remove)
        for module in network.modules():
            if isinstance(module, Quantizer) and id(module) not in of_layers:
                hooks.callback(module.register_forward_hook(products.mark_operand).remove)
        yield products


class _Products(TorchFunctionMode):
    """Sees every call of a function of torch, and adds up the multiply-accumulates in it by the sites it multiplies."""

    def __init__(self, counter: FlopCounterMode) -> None:
        super().__init__()
        self._counter = counter
        self._of_sites: Counter[tuple[str, str]] = Counter()
        self._layer: tuple[str, str] | None = None
        """The sites of the quantized layer that is running."""
        self._operands: dict[int, tuple[str, Tensor]] = {}
        """The site of each operand by its memory, which its views share; the tensor keeps the memory from reuse."""

    def macs(self) -> Macs:
        """The counts."""
        return Macs(dict(self._of_sites), self._counter.get_total_flops() // 2)

    def open_layer(self, layer: QuantizedLayer, _input: Any) -> None:
        """A quantized layer begins: all products that follow are its own."""
        self._layer = layer.weight_quantizer.site.name, layer.input_quantizer.site.name

    def close_layer(self, _layer: nn.Module, _input: Any, _output: Any) -> None:
        """The layer is done."""
        self._layer = None

    def mark_operand(self, quantizer: Quantizer, _input: Any, output: Tensor) -> Tensor:
        """Copy an operand, so that its memory identifies it at its product."""
        operand = output.clone()
        self._operands[memory_of(operand)] = quantizer.site.name, operand
        return operand

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call a function of torch, and note the sites of the products in it."""
        before = self._counter.get_total_flops()
        result = func(*args, **(kwargs or {}))
        macs = (self._counter.get_total_flops() - before) // 2
        sites = self._sites([*args, *(kwargs or {}).values()]) if macs else None
        if sites is not None:
            self._of_sites[sites] += macs
        return result

    def _sites(self, args: Iterable[Any]) -> tuple[str, str] | None:
        """The sites of the product of these arguments; None for full precision."""
        if self._layer is not None:
            return self._layer
        operands = [self._operands.get(memory_of(tensor), (None,))[0] for tensor in tensors_in(args)]
        known = [site for site in operands if site is not None]
        # A function of three operands, such as fused attention, multiplies values inside that are no site.
        return (known[0], known[1]) if len(known) == 2 else None
