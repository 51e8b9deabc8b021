"""Whether a network still computes what it did."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import torch

from ..quantization.state.network_tensors import as_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn


class Snapshot:
    """What a network computes with at one time: modules, modes, hooks, and a copy of its parameters and buffers."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._code, self._writes, self._numbers = _code(network), _writes(network), _numbers(network)

    def is_untouched(self) -> bool:
        """Whether nobody wrote to it, a matter of a millisecond; a write through `.data` is not seen."""
        return _code(self._network) == self._code and _writes(self._network) == self._writes

    def holds(self) -> bool:
        """Whether all of it is the same now, tensors to the last bit."""
        return _code(self._network) == self._code and torch.equal(_numbers(self._network), self._numbers)


def _code(network: nn.Module) -> list[tuple[object, ...]]:
    """Modules with their modes, own forward and hooks, and the tensors but for their numbers."""
    modules = [
        (module, module.training, vars(module).get("forward"), *_hooks_of(module)) for module in network.modules()
    ]
    return [*modules, *((tensor.shape, tensor.dtype, tensor.device) for tensor in _tensors(network))]


def _hooks_of(module: nn.Module) -> tuple[object, ...]:
    return *module._forward_pre_hooks.values(), None, *module._forward_hooks.values()


def _writes(network: nn.Module) -> list[tuple[int, int]]:
    """Where each tensor's numbers are, and how often torch has seen them written."""
    return [(tensor.data_ptr(), tensor._version) for tensor in _tensors(network)]


def _numbers(network: nn.Module) -> Tensor:
    """All tensors as one of int64, of which a comparison takes an eighth of the time of bytes."""
    numbers = [as_bytes(tensor) for tensor in _tensors(network)]
    if numbers:
        numbers.append(numbers[0].new_zeros(-sum(map(len, numbers)) % 8))
    return torch.cat(numbers).view(torch.int64) if numbers else torch.empty(0)


def _tensors(network: nn.Module) -> Iterator[Tensor]:
    """All parameters and buffers, one that modules share as often as they have it."""
    for module in network.modules():
        for tensor in chain(module._parameters.values(), module._buffers.values()):
            if tensor is not None:
                yield tensor
