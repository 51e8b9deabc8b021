"""Bit-widths of weights and activations."""

from __future__ import annotations

import re
from typing import Self

from pydantic import Field

from ..errors import SrqError
from .types import Frozen


class Bits(Frozen):
    """Bit-widths of weights (W) and activations (A), 2 to 8 each."""

    weight: int = Field(ge=2, le=8)
    activation: int = Field(ge=2, le=8)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `4` (both) or `w4a8`; raises SrqError for anything else."""
        match = re.fullmatch(r"w?(\d{1,9})a(\d{1,9})|(\d{1,9})", text.strip().lower())
        if match is None:
            raise SrqError(f"no bit-width '{text}'; expected a number such as 4, or w4a8")
        weight, activation = (match[3], match[3]) if match[3] else (match[1], match[2])
        if not (2 <= int(weight) <= 8 and 2 <= int(activation) <= 8):
            raise SrqError(f"bits '{text}' are out of range; expected 2 to 8")
        return cls(weight=int(weight), activation=int(activation))

    def of(self, role: str) -> int:
        """The bit-width of a site of this role (weight or activation)."""
        return self.weight if role == "weight" else self.activation

    def __str__(self) -> str:
        return f"w{self.weight}a{self.activation}"
