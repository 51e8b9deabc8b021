"""Knows during a forward pass which module is running, and how often it makes each product."""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..errors import SrqError
from ..quantization.products.functions import FUSED, function_name, operands_of
from ..quantization.products.product import RunningModules

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class Follow(TorchFunctionMode):
    """Knows which module is running, and how often each product is made."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.running = RunningModules()
        self.calls: Counter[str] = Counter()
        self.made: dict[str, set[int]] = defaultdict(set)
        """How many products the calls of a module made."""

    def hooks(self) -> ExitStack:
        """Follow the calls of all modules."""
        hooks = ExitStack()
        for name, module in self.network.named_modules():
            if isinstance(module, torch.jit.ScriptModule):
                raise SrqError(f"the module {name} is TorchScript, whose products cannot be seen; use its Python code")
            hooks.callback(module.register_forward_pre_hook(self._enter(name)).remove)
            hooks.callback(module.register_forward_hook(self._leave(name)).remove)
        return hooks

    def _enter(self, name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def enter(_module: nn.Module, args: tuple[Any, ...]) -> None:
            self.running.enter(name)
            self.begin(name, args)

        return enter

    def _leave(self, name: str) -> Callable[[nn.Module, object, object], None]:
        def leave(_module: nn.Module, _args: object, output: object) -> None:
            self.made[name].add(self.running.leave())
            self.end(name, output)

        return leave

    def begin(self, name: str, args: tuple[Any, ...]) -> None:
        """A module begins, with these arguments."""

    def end(self, name: str, output: object) -> None:
        """A module ends."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call a function of torch; count the products in it."""
        name, kwargs = function_name(func), kwargs or {}
        if name == FUSED or operands_of(name, args, kwargs) is not None:
            for _ in range(2 if name == FUSED else 1):
                self.calls[self.running.next_product()] += 1
        return func(*args, **kwargs)


def count_calls(network: nn.Module, lr: Tensor) -> Counter[str]:
    """How often each product is made in a forward pass."""
    image = lr.clone()
    follow = Follow(network)
    with torch.no_grad(), follow, follow.hooks():
        network(image)
    return follow.calls
