"""Functions of torch by name: what each makes of its arguments, and the tensors among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..quantization.products.functions import ARGUMENTS, FUSED, FusedAttention

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..quantization.quantizer import InputKind

MAKES: dict[str, InputKind] = {
    "conv2d": "conv",
    "linear": "linear",
    "layer_norm": "layernorm",
    "gelu": "gelu",
    "relu": "relu",
    "leaky_relu": "leakyrelu",
    "prelu": "leakyrelu",
    "softmax": "softmax",
    FUSED: "value",
}
"""What a function of torch makes, by its name without underscores at the ends."""
PASSES_ON = {
    "chunk", "clone", "contiguous", "detach", "dropout", "expand", "flatten", "flip", "float", "get", "getitem",
    "interpolate", "movedim", "narrow", "pad", "permute", "pixel_shuffle", "pixel_unshuffle", "repeat", "reshape",
    "roll", "rot90", "split", "squeeze", "swapaxes", "t", "to", "transpose", "type", "type_as", "unbind", "unflatten",
    "unfold", "unsqueeze", "view",
}  # fmt: skip
"""Functions that move values, or average a few neighbours, and do not change their kind."""
SUMS = {"add", "iadd", "isub", "radd", "rsub", "sub"}
JOINS = {"cat", "concat", "stack"}
SCALINGS = {"div", "imul", "itruediv", "mul", "rmul", "truediv"}
PRODUCTS = {"einsum", *ARGUMENTS} - {"linear"}
ENDS = PRODUCTS | {"linear", "conv2d", "softmax", FUSED}
"""Functions whose results are no longer the scores that a product made for a softmax."""
UNCOUNTED = {"bilinear", "cdist", "deform_conv2d", "gru", "gru_cell", "lstm", "lstm_cell", "rnn_relu", "rnn_tanh"}
"""Functions with products inside that torch's counter does not know, on some devices at least."""
VIEWS = {"detach", "get", "permute", "reshape", "squeeze", "t", "transpose", "unsqueeze", "view"}
"""Functions that may give all numbers of a parameter in another shape."""
ASKS = {"dim", "is_contiguous", "len", "numel", "size", "stride"}
"""Functions that ask for the shape of a tensor."""


def made_by(function: str, of: list[InputKind | None]) -> InputKind | None:
    """What a function makes of tensors of these kinds; None stands for constants."""
    known = [kind for kind in of if kind]
    kinds = set(known)
    if not known or (function in PASSES_ON):
        return of[0] if of else None
    if function in MAKES:
        return MAKES[function]
    if len(kinds) == 1 and (function in SUMS | JOINS or (function in SCALINGS and len(known) == 1)):
        return known[0]
    if function in SUMS:  # of residuals: bell-shaped, as a layer's output is
        return next((kind for kind in known if kind in ("conv", "linear")), "other")
    return "value" if function in PRODUCTS and "softmax" in kinds else "other"


def fused_macs(function: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> int:
    """Multiply-accumulates of fused attention; torch counts them on some devices only."""
    if function != FUSED:
        return 0
    fused = FusedAttention(*args, **kwargs)
    return (
        fused.query.numel() * fused.key.shape[-2] * (fused.key.shape[-1] + fused.value.shape[-1]) // fused.key.shape[-1]
    )
