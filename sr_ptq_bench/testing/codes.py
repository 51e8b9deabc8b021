"""Counts the distinct values that quantizers give out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ..quantization.capture import capture

if TYPE_CHECKING:
    from torch import Tensor

    from ..quantization.student import Student

EQUAL = 1e-5
"""Share of the largest value within which two values are one: straight-through estimators round differently."""


def most_codes(student: Student, lr: Tensor) -> dict[str, int]:
    """The most distinct levels of every site, by name: of its tensor, or of a channel if it has bounds per channel."""
    found: dict[str, int] = {}

    def see(name: str, _v: Tensor, v_q: Tensor) -> None:
        quantizer = student.quantizers[name]
        axis = quantizer.site.channel_axis
        rows = v_q.reshape(1, -1) if axis is None or not quantizer.lower.ndim else v_q.movedim(axis, 0).flatten(1)
        found[name] = max(found.get(name, 0), *(_distinct(row) for row in rows))

    with torch.no_grad(), capture(student, student.quantizers, see):
        student(lr)
    return found


def _distinct(v: Tensor) -> int:
    ascending = v.detach().double().sort().values
    return 1 + int((ascending.diff() > EQUAL * ascending.abs().max()).sum())
