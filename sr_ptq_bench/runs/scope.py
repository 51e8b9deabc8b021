"""What is quantized in a student, in words for a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..records.record import Scope
from .count import parameters

if TYPE_CHECKING:
    from ..protocol.types import ScopeName
    from ..quantization.student import Student

SCOPES: dict[ScopeName, tuple[str, str]] = {
    "linear": (
        "linear+matmul",
        "Linear layers and the operands of matrix products; convolutions and LayerNorm stay FP",
    ),
    "all": ("all", "convolutions, Linear layers and the operands of matrix products; LayerNorm and biases stay FP"),
}
"""The word and the sentence of a table for each scope."""
LAYERS_ALONE: dict[ScopeName, tuple[str, str]] = {
    "linear": ("linear", "Linear layers; convolutions and LayerNorm stay FP"),
    "all": ("linear+conv", "Linear layers and convolutions; LayerNorm and biases stay FP"),
}
"""The same for networks with products at no site."""


def describe_scope(student: Student) -> Scope:
    """The scope of a student, with the number of its sites and weights."""
    model = student.model
    short, description = (LAYERS_ALONE if model.unquantized_ops else SCOPES)[model.scope]
    if model.unquantized_ops:
        description = f"{description}, as do {model.unquantized_ops}"
    return Scope(
        short=short,
        description=description,
        sites=len(student.quantizers),
        quantized_weights=sum(weight.numel() for weight in student.weights.values()),
        parameters=parameters(student.network),
    )
