"""A run from the words in which a user asks for it, on the command line or in a notebook."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ..errors import SrqError
from ..storage.home import expanded
from .bits import Bits
from .run_spec import RunSpec
from .suite import DataSource, Suite, Tiles
from .types import parse_scale

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .types import OptionValue, ScopeName


def requested(
    *,
    method: str,
    bits: str,
    scale: int,
    mixed: bool,
    scope: ScopeName | None,
    suite: str,
    model: str | None,
    tests: tuple[str, ...],
    tile: int | None,
    tile_overlap: int | None,
    options: Mapping[str, OptionValue],
    seed: int,
) -> RunSpec:
    """The run that these words of `srq run` mean; raises SrqError for impossible ones."""
    if tile_overlap is not None and tile is None:
        raise SrqError("an overlap of tiles goes with a size of tiles; give both")
    protocol = Suite.load(suite)
    chosen = with_tests(protocol.with_model(model or protocol.model), tests)
    overlap: dict[str, Any] = {} if tile_overlap is None else {"overlap": tile_overlap}
    return RunSpec(
        method=f"mixed+{method}" if mixed else method,
        bits=Bits.parse(bits),
        scale=parse_scale(scale),
        suite=chosen.with_tiles(Tiles(size=tile, **overlap)) if tile else chosen,
        scope=scope,
        seed=seed,
        options=dict(options),
    )


def with_tests(suite: Suite, tests: tuple[str, ...]) -> Suite:
    """The suite with the user's test sets instead of its own, under a name that keeps it out of the suite's tables."""
    if not tests:
        return suite
    sources = {}
    for test in tests:
        name, equals, folder = test.partition("=")
        if not (name and equals and folder):
            raise SrqError(f"test set '{test}' is not of the form NAME=HR_DIR")
        if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
            raise SrqError(f"no name for a test set: '{name}'; expected letters, digits, '.', '_' and '-'")
        if name in sources:
            raise SrqError(f"test set '{name}' is given twice; give each a name of its own")
        sources[name] = DataSource(hr=expanded(folder))
    return suite.model_copy(update={"name": f"{suite.name}-{'-'.join(sorted(sources))}", "test": sources})
