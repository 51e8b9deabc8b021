"""Plugins of methods with a mistake, and what their run says."""

from __future__ import annotations

from typing import Any

from refusals import error_of
from tiny import plugin, run

from sr_ptq_bench import Bounds


def minmax(distribution: Any) -> Bounds:
    """Bounds of a plugin that has nothing else to say about them."""
    return Bounds(distribution.minimum, distribution.maximum)


def refused(suite: Any, options: Any = None, **hooks: Any) -> str:
    """The line that a run of plugin `mine` with these hooks ends in."""
    mine = plugin("mine", options, **{"init_bounds": minmax, **hooks})
    return error_of(run, suite, mine, method="mine")
