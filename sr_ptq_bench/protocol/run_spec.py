"""One run as a user asks for it."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from ..errors import SrqError
from .bits import Bits
from .suite import Download, Suite
from .types import Frozen, OptionValue, Scale, ScopeName, Seed


class RunSpec(Frozen):
    """One run: a method at a bit-width and a scale, under a suite; without `scope` the network's own scope is used."""

    method: str
    bits: Bits
    scale: Scale
    suite: Suite
    scope: ScopeName | None = None
    seed: Seed = 0
    options: dict[str, OptionValue] = Field(default_factory=dict)

    @property
    def weights(self) -> Path | Download:
        """The weights of this run's scale; raises SrqError if the suite has none."""
        if self.scale not in self.suite.weights:
            have = ", ".join(f"x{scale}" for scale in sorted(self.suite.weights))
            raise SrqError(f"suite '{self.suite.name}' has no weights for x{self.scale}; it has {have}")
        return self.suite.weights[self.scale]


def parse_options(pairs: tuple[str, ...]) -> dict[str, OptionValue]:
    """Split `key=value` arguments; the values stay text until their plugin reads them."""
    options: dict[str, OptionValue] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise SrqError(f"option '{pair}' is not of the form key=value")
        if key.strip() in options:
            raise SrqError(f"option '{key.strip()}' is given twice")
        options[key.strip()] = value.strip()
    return options
