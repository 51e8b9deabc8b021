"""Whether a network still computes what it did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""By their bytes: equal only where all bits are, unlike floats (-0 and 0, NaN)."""


class Snapshot:
    """What a network computes with at one time: modules, modes, hooks, and a copy of its parameters and buffers.

    Buffers that no checkpoint has may change: a network keeps its masks for a size of images there.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._code, self._bits = _code(network), [bits.clone() for bits in _bits(network)]

    def holds(self) -> bool:
        """Whether all of it is the same now, tensors to the last bit; takes milliseconds."""
        return _code(self._network) == self._code and all(map(torch.equal, _bits(self._network), self._bits))


def _code(network: nn.Module) -> list[tuple[object, ...]]:
    """Modules with their modes, own forward and hooks, and the tensors but for their numbers."""
    modules = [
        (module, module.training, vars(module).get("forward"), *_hooks_of(module)) for module in network.modules()
    ]
    return [*modules, *((tensor.shape, tensor.dtype, tensor.device) for tensor in _tensors(network))]


def _hooks_of(module: nn.Module) -> tuple[object, ...]:
    return *module._forward_pre_hooks.values(), None, *module._forward_hooks.values()


def _bits(network: nn.Module) -> Iterator[Tensor]:
    for tensor in _tensors(network):
        real = torch.view_as_real(tensor) if tensor.is_complex() else tensor
        yield real.detach().view(INTEGERS[real.element_size()])


def _tensors(network: nn.Module) -> Iterator[Tensor]:
    """All parameters and persistent buffers, one that modules share as often as they have it."""
    for module in network.modules():
        buffers = ((name, of) for name, of in module._buffers.items() if name not in module._non_persistent_buffers_set)
        for _, tensor in (*module._parameters.items(), *buffers):
            if tensor is not None:
                yield tensor
