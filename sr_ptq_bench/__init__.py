"""Measures post-training quantization methods for image super-resolution on equal terms.

Everything that a plugin needs is here, and `measure` for notebooks. A name is loaded when it is first used, because
torch takes seconds to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .data.patches import Batches
    from .errors import SrqError
    from .hooks.options import PluginOptions
    from .hooks.specs import hookimpl
    from .notebook.measure import measure
    from .notebook.measurement import Measurement
    from .progress import Progress
    from .protocol.bits import Bits
    from .protocol.run_spec import RunSpec
    from .protocol.suite import Suite
    from .quantization.capture import capture
    from .quantization.distribution import Distribution
    from .quantization.fake_quantize import fake_quantize
    from .quantization.kinds import LogSqrt2Quantizer, TwinUniformQuantizer
    from .quantization.network import Operand, SRModel, Teacher
    from .quantization.products.product import Product, ProductOperand
    from .quantization.quantizer import Bounds, Quantizer, Site
    from .quantization.student import Student, quantizers_off, site_elements
    from .quantization.training import CalibrationLog, Checkpoint, Training, distillation_loss
    from .storage.weights import fill, read_weights
    from .tracing.open_network import open_network

_HOME = {
    "Batches": "data.patches",
    "Bits": "protocol.bits",
    "Bounds": "quantization.quantizer",
    "CalibrationLog": "quantization.training",
    "Checkpoint": "quantization.training",
    "Distribution": "quantization.distribution",
    "LogSqrt2Quantizer": "quantization.kinds",
    "Measurement": "notebook.measurement",
    "Operand": "quantization.network",
    "PluginOptions": "hooks.options",
    "Product": "quantization.products.product",
    "ProductOperand": "quantization.products.product",
    "Progress": "progress",
    "Quantizer": "quantization.quantizer",
    "RunSpec": "protocol.run_spec",
    "SRModel": "quantization.network",
    "Site": "quantization.quantizer",
    "SrqError": "errors",
    "Student": "quantization.student",
    "Suite": "protocol.suite",
    "Teacher": "quantization.network",
    "Training": "quantization.training",
    "TwinUniformQuantizer": "quantization.kinds",
    "capture": "quantization.capture",
    "distillation_loss": "quantization.training",
    "fake_quantize": "quantization.fake_quantize",
    "fill": "storage.weights",
    "hookimpl": "hooks.specs",
    "measure": "notebook.measure",
    "open_network": "tracing.open_network",
    "quantizers_off": "quantization.student",
    "read_weights": "storage.weights",
    "site_elements": "quantization.student",
}

__version__ = "0.1.0"
__all__ = [
    "Batches",
    "Bits",
    "Bounds",
    "CalibrationLog",
    "Checkpoint",
    "Distribution",
    "LogSqrt2Quantizer",
    "Measurement",
    "Operand",
    "PluginOptions",
    "Product",
    "ProductOperand",
    "Progress",
    "Quantizer",
    "RunSpec",
    "SRModel",
    "Site",
    "SrqError",
    "Student",
    "Suite",
    "Teacher",
    "Training",
    "TwinUniformQuantizer",
    "capture",
    "distillation_loss",
    "fake_quantize",
    "fill",
    "hookimpl",
    "measure",
    "open_network",
    "quantizers_off",
    "read_weights",
    "site_elements",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    value: object = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value
