"""The text of a method of one file."""

from __future__ import annotations

METHOD = """
from sr_ptq_bench import Bounds, hookimpl

@hookimpl
def srq_init_bounds(distribution):
    return Bounds(distribution.minimum, distribution.maximum)
"""
