"""How much smaller and faster a quantized network could be: counts by bits, and two closed forms of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

FULL_PRECISION = 32

Count = Annotated[int, Field(ge=0, le=10**18)]
BitWidth = Annotated[int, Field(ge=1, le=FULL_PRECISION)]


class Complexity(BaseModel):
    """Parameters of a network, and multiply-accumulates (MACs) of one forward pass, each by the bits of their numbers.

    32 stands for full precision. A MAC has the bits of the wider of its two operands.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    parameters: dict[BitWidth, Count]
    macs: dict[BitWidth, Count]
    lr_pixels: PositiveInt
    """Pixels of the image on which MACs are counted."""

    @property
    def compression(self) -> float:
        """How many times smaller the parameters are than at 32 bits; bounds, two numbers per site, are left out."""
        return theoretical_ratio(self.parameters)

    @property
    def bytes(self) -> float:
        """Bytes of the parameters at their bits; bounds are left out."""
        return sum(width * count for width, count in self.parameters.items()) / 8

    @property
    def bit_operations(self) -> float:
        """Bit-operations per LR pixel: a MAC of b bits counts b^2."""
        return sum(width**2 * count for width, count in self.macs.items()) / self.lr_pixels

    @property
    def speedup(self) -> float:
        """How many times faster the network would be if a MAC of b bits took b/32 of the time of one of 32 bits."""
        return theoretical_ratio(self.macs)


def theoretical_ratio(counts: Mapping[int, int]) -> float:
    """32 sum(n_b) / sum(b n_b) for n_b numbers of b bits, 1 for none at all.

    2DQuant's efficiency in closed form: FP / (FP part + quantized part * b/32).
    """
    bits = sum(width * count for width, count in counts.items())
    return FULL_PRECISION * sum(counts.values()) / bits if bits else 1.0
