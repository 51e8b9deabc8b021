"""What is quantized in a student, in words for a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from ..records.record import Scope
from .count import parameters

if TYPE_CHECKING:
    from ..protocol.types import ScopeName, ScopeWord
    from ..quantization.student import Student

SCOPES: dict[ScopeName, tuple[ScopeWord, str]] = {
    "linear": (
        "linear+matmul",
        "Linear layers and the operands of matrix products; convolutions and LayerNorm stay FP",
    ),
    "all": ("all", "convolutions, Linear layers and the operands of matrix products; LayerNorm and biases stay FP"),
}
"""The word and the sentence of a table for each scope."""
LAYERS_ALONE: dict[ScopeName, tuple[ScopeWord, str]] = {
    "linear": ("linear", "Linear layers; convolutions and LayerNorm stay FP"),
    "all": ("linear+conv", "Linear layers and convolutions; LayerNorm and biases stay FP"),
}
"""The same for networks with products at no site."""


def describe_scope(student: Student) -> Scope:
    """The scope of a student, with the number of its sites and weights."""
    model = student.model
    alone = model.unquantized_ops and not model.products
    short, description = (LAYERS_ALONE if alone else SCOPES)[model.scope]
    if any(isinstance(module, nn.BatchNorm2d) for module in model.network.modules()):
        description = _with_batch_norm(description)
    if model.unquantized_ops:
        description = f"{description}, as do {model.unquantized_ops}"
    return Scope(
        short=short,
        description=description,
        sites=len(student.quantizers),
        quantized_weights=sum(weight.numel() for weight in student.weights.values()),
        parameters=parameters(student.network),
    )


def _with_batch_norm(description: str) -> str:
    """The same sentence for a network that has batch norms too."""
    for before, after in (
        ("convolutions and LayerNorm", "convolutions, BatchNorm and LayerNorm"),
        ("; LayerNorm", "; BatchNorm, LayerNorm"),
    ):
        description = description.replace(before, after)
    return description
