"""Measures post-training quantization methods for image super-resolution on equal terms.

Everything that a plugin needs is here; it is loaded when it is first used, because torch takes seconds to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .checkpoint import fill, read_weights
    from .data.batches import Batches
    from .distribution import Distribution
    from .errors import SrqError
    from .fakequant import fake_quantize
    from .hookspecs import Checkpoint, Figures, Progress, hookimpl
    from .model import Operand, SRModel, Student
    from .quantizer import Bounds, Quantizer, Site
    from .spec import Bits, Options, RunSpec, Suite
    from .training import Training

_HOME = {
    "Batches": "data.batches",
    "Bits": "spec",
    "Bounds": "quantizer",
    "Checkpoint": "hookspecs",
    "Distribution": "distribution",
    "Figures": "hookspecs",
    "Operand": "model",
    "Options": "spec",
    "Progress": "hookspecs",
    "Quantizer": "quantizer",
    "RunSpec": "spec",
    "SRModel": "model",
    "Site": "quantizer",
    "SrqError": "errors",
    "Student": "model",
    "Suite": "spec",
    "Training": "training",
    "fake_quantize": "fakequant",
    "fill": "checkpoint",
    "hookimpl": "hookspecs",
    "read_weights": "checkpoint",
}

__version__ = "0.1.0"
__all__ = [
    "Batches",
    "Bits",
    "Bounds",
    "Checkpoint",
    "Distribution",
    "Figures",
    "Operand",
    "Options",
    "Progress",
    "Quantizer",
    "RunSpec",
    "SRModel",
    "Site",
    "SrqError",
    "Student",
    "Suite",
    "Training",
    "fake_quantize",
    "fill",
    "hookimpl",
    "read_weights",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    value: object = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value
