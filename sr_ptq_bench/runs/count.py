"""Counts what a network computes and stores, on the network itself: any backbone, any scale, any quantizers."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ..quantization.products.macs import count_macs
from ..quantization.quantizer import Quantizer
from ..records.complexity import FULL_PRECISION, Complexity

if TYPE_CHECKING:
    from torch import nn

    from ..quantization.student import Student


SMALLEST_SIDE = 16
"""Pixels; networks of windows or convolutions need the same number of MACs per pixel on any larger image."""


def count(student: Student) -> Complexity:
    """Parameters, and the MACs of one small image, by bits.

    A MAC has the bits of the wider of its two sites; all others have full precision.
    """
    side = student.model.smallest(max(SMALLEST_SIDE, student.model.count_side))
    counted = count_macs(student, side)
    quantized: Counter[int] = Counter()
    for sites, macs in counted.of_sites.items():
        quantized[max(student.quantizers[site].bits for site in sites)] += macs
    by_bits = _with_the_rest(quantized, counted.total)
    return Complexity(parameters=_parameters(student), macs=by_bits, lr_pixels=side * side)


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
