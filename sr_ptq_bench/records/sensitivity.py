"""What the quantization of each part of a network costs, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    pass


By = Literal["site", "layer", "producer"]


@dataclass(frozen=True)
class Group:
    """Sites that are quantized together, and two scores in dB: with only them quantized, and with all but them."""

    name: str
    role: str
    sites: int
    only: float
    without: float


@dataclass(frozen=True)
class Sensitivities:
    """Groups, the most sensitive first, and the score in dB with everything quantized; `unit` names the score."""

    groups: tuple[Group, ...]
    all_quantized: float
    unit: str
