"""Whether a network still computes what it did."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import torch

from ..quantization.state.network_tensors import as_bytes

if TYPE_CHECKING:
    from torch import Tensor, nn


class Snapshot:
    """What a network computes with at one time: modules, modes, hooks, and a copy of its parameters and buffers."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._code, self._numbers = _code(network), _numbers(network)

    def holds(self) -> bool:
        """Whether all of it is the same now, tensors to the last bit."""
        return _code(self._network) == self._code and torch.equal(_numbers(self._network), self._numbers)


def _code(network: nn.Module) -> list[tuple[object, ...]]:
    modules = [
        (module, module.training, vars(module).get("forward"), *_hooks_of(module)) for module in network.modules()
    ]
    return [*modules, *((name, tensor.shape, tensor.dtype, tensor.device) for name, tensor in _tensors(network))]


def _hooks_of(module: nn.Module) -> tuple[object, ...]:
    return *module._forward_pre_hooks.values(), None, *module._forward_hooks.values()


def _numbers(network: nn.Module) -> Tensor:
    """All tensors as one, which an accelerator compares in one call."""
    return torch.cat([as_bytes(tensor) for _, tensor in _tensors(network)])


def _tensors(network: nn.Module) -> list[tuple[str, Tensor]]:
    return list(chain(network.named_parameters(), network.named_buffers()))
