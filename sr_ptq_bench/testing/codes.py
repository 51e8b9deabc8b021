"""Counts the distinct values that quantizers give out."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch

from ..quantization.quantizer import Quantizer

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..quantization.student import Student

EQUAL = 1e-5
"""Share of the largest value within which two values are one: straight-through estimators round differently."""


def most_codes(student: Student, lr: Tensor) -> dict[str, int]:
    """The most distinct levels of every site, by name: of its tensor, or of a channel if it has bounds per channel."""
    found: dict[str, int] = {}
    handles = [of.register_forward_hook(partial(_count, found, name)) for name, of in student.quantizers.items()]
    try:
        with torch.no_grad():
            student(lr)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _count(found: dict[str, int], name: str, quantizer: nn.Module, _inputs: object, output: Tensor) -> None:
    assert isinstance(quantizer, Quantizer)
    axis = quantizer.site.channel_axis
    rows = output.reshape(1, -1) if axis is None or not quantizer.lower.ndim else output.movedim(axis, 0).flatten(1)
    found[name] = max(found.get(name, 0), *(_distinct(row) for row in rows))


def _distinct(v: Tensor) -> int:
    ascending = v.detach().double().sort().values
    return 1 + int((ascending.diff() > EQUAL * ascending.abs().max()).sum())
