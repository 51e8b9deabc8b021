"""Counts the multiply-accumulates (MACs) of a forward pass, call by call."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from torch.utils.flop_counter import FlopCounterMode

from ..quantization.products.functions import function_name
from .functions import UNCOUNTED, fused_macs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager


class Tally:
    """The MACs of all calls, and which of them no site has."""

    def __init__(self) -> None:
        self._counter = FlopCounterMode(display=False)
        self._seen = self._fused = 0
        self.uncounted: Counter[str] = Counter()
        """Calls of functions whose MACs torch does not count."""
        self.others: Counter[str] = Counter()
        self.macs_of_others: Counter[str] = Counter()
        """Calls with products that are not of two tensors, and their MACs, by the innermost module."""

    def counting(self) -> AbstractContextManager[object]:
        """Count within this context."""
        return self._counter

    def call(self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, int]:
        """Call a function of torch; its result, and the MACs in it that torch counts."""
        name, before = function_name(func), self._counter.get_total_flops()
        result = func(*args, **kwargs)
        macs = (self._counter.get_total_flops() - before) // 2
        self._seen += macs
        self._fused += 0 if macs else fused_macs(name, args, kwargs)
        if name in UNCOUNTED:
            self.uncounted[name] += 1
        return result, macs

    def note_other(self, module: str, macs: int) -> None:
        """Note a call in this module whose products no site can have."""
        self.others[module] += 1
        self.macs_of_others[module] += macs

    @property
    def macs(self) -> int:
        """All there are."""
        return self._counter.get_total_flops() // 2 + self._fused

    @property
    def hidden(self) -> int:
        """Those in code whose calls torch does not show, such as TorchScript."""
        return self._counter.get_total_flops() // 2 - self._seen
