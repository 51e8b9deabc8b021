"""Counts what a network computes and stores, on the network itself: any backbone, any scale, any quantizers."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from ..quantization.products.functions import memory_of, tensors_in
from ..quantization.quantize import QuantizedLayer
from ..quantization.quantizer import Quantizer
from ..quantization.student import quantizers_off
from ..records.complexity import FULL_PRECISION, Complexity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ..quantization.student import Student


SMALLEST_SIDE = 16
"""Pixels; networks of windows or convolutions need the same number of MACs per pixel on any larger image."""


def count(student: Student) -> Complexity:
    """Parameters, and the MACs of one small image, by bits.

    Every product that torch computes counts: of layers or of matrices, in any module or function. It has b bits if it
    belongs to a quantized layer or if both operands come from sites. Biases, norms and interpolations are no products.
    """
    side = student.model.smallest(max(SMALLEST_SIDE, student.model.count_side))
    lr = torch.zeros(1, 3, side, side, device=student.device)
    # The network itself, because padding at test time may add to an image that needs none.
    with torch.no_grad(), quantizers_off(student), _counted(student.network) as products:
        student.network(lr)
    return Complexity(parameters=_parameters(student), macs=products.macs(), lr_pixels=side * side)


def parameters(network: nn.Module) -> int:
    """The number of learned numbers of a network, without those of quantizers, such as bounds."""
    of_quantizers = {
        id(p) for module in network.modules() if isinstance(module, Quantizer) for p in module.parameters()
    }
    return sum(p.numel() for p in network.parameters() if id(p) not in of_quantizers)


def _parameters(student: Student) -> dict[int, int]:
    tensors = {id(weight): (name, weight) for name, weight in student.weights.items()}  # layers may share one
    quantized: Counter[int] = Counter()
    for name, weight in tensors.values():
        quantized[student.quantizers[name].bits] += weight.numel()
    return _with_the_rest(quantized, parameters(student.network))


def _with_the_rest(quantized: Counter[int], total: int) -> dict[int, int]:
    """All numbers by bits, from many to few bits; numbers that are not quantized have full precision."""
    by_bits = quantized + Counter({FULL_PRECISION: total - quantized.total()})
    return dict(sorted(by_bits.items(), reverse=True))


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
    """Sees every call of a function of torch, and adds up the multiply-accumulates in it by their bits."""

    def __init__(self, counter: FlopCounterMode) -> None:
        super().__init__()
        self._counter = counter
        self._quantized: Counter[int] = Counter()
        self._layer: int | None = None
        """The bits of the quantized layer that is running."""
        self._operands: dict[int, tuple[int, Tensor]] = {}
        """Bits of each operand by its memory, which its views share; the tensor keeps the memory from reuse."""

    def macs(self) -> dict[int, int]:
        """The counts."""
        return _with_the_rest(self._quantized, self._counter.get_total_flops() // 2)

    def open_layer(self, layer: QuantizedLayer, _input: Any) -> None:
        """A quantized layer begins: all products that follow are its own."""
        self._layer = max(layer.weight_quantizer.bits, layer.input_quantizer.bits)

    def close_layer(self, _layer: nn.Module, _input: Any, _output: Any) -> None:
        """The layer is done."""
        self._layer = None

    def mark_operand(self, quantizer: Quantizer, _input: Any, output: Tensor) -> Tensor:
        """Copy an operand, so that its memory identifies it at its product."""
        operand = output.clone()
        self._operands[memory_of(operand)] = quantizer.bits, operand
        return operand

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call a function of torch, and note the bits of the products in it."""
        before = self._counter.get_total_flops()
        result = func(*args, **(kwargs or {}))
        macs = (self._counter.get_total_flops() - before) // 2
        bits = self._bits([*args, *(kwargs or {}).values()]) if macs else None
        if bits is not None:
            self._quantized[bits] += macs
        return result

    def _bits(self, args: Iterable[Any]) -> int | None:
        """Bits of the product of these arguments; None for full precision."""
        if self._layer is not None:
            return self._layer
        operands = [self._operands.get(memory_of(tensor), (None,))[0] for tensor in tensors_in(args)]
        known = [bits for bits in operands if bits is not None]
        # A function of three operands, such as fused attention, multiplies values inside that are no site.
        return max(known) if len(known) == 2 else None
