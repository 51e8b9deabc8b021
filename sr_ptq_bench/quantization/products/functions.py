"""The functions of torch that multiply two tensors, and the operands of a call of one."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence


FUSED = "scaled_dot_product_attention"

ARGUMENTS: dict[str, tuple[tuple[int, str], tuple[int, str]]] = {
    "matmul": ((0, "input"), (1, "other")),
    "linalg_matmul": ((0, "input"), (1, "other")),
    "rmatmul": ((1, "other"), (0, "self")),
    "mm": ((0, "input"), (1, "mat2")),
    "bmm": ((0, "input"), (1, "mat2")),
    "mv": ((0, "input"), (1, "vec")),
    "inner": ((0, "input"), (1, "other")),
    "tensordot": ((0, "a"), (1, "b")),
    "addmm": ((1, "mat1"), (2, "mat2")),
    "addmv": ((1, "mat"), (2, "vec")),
    "addbmm": ((1, "batch1"), (2, "batch2")),
    "baddbmm": ((1, "batch1"), (2, "batch2")),
    "linear": ((0, "input"), (1, "weight")),
}
"""Position and keyword of the two operands of each function; the function's name is without underscores at the ends."""

FUNCTIONS = {*ARGUMENTS, "einsum", FUSED}
"""All functions that may be products of two tensors."""


class Operands(NamedTuple):
    """The two operands of a product."""

    a: Tensor
    b: Tensor


@lru_cache(maxsize=4096)
def function_name(function: Callable[..., Any]) -> str:
    """The name of a function of torch without underscores at the ends: `matmul` for `@`, `baddbmm` for `baddbmm_`."""
    return str(getattr(function, "__name__", "")).strip("_")


@lru_cache(maxsize=4096)
def may_multiply(function: Callable[..., Any]) -> bool:
    """Whether a function of torch is one of `FUNCTIONS`."""
    return function_name(function) in FUNCTIONS


def operands_of(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Operands | None:
    """The operands of a call of the function `name`; None if it is no product of two tensors of real numbers."""
    if name == "einsum":
        found = _einsum_operands(args)
    elif name in ARGUMENTS:
        found = [args[place] if place < len(args) else kwargs.get(key) for place, key in ARGUMENTS[name]]
    else:
        return None
    a, b = found if len(found) == 2 else (None, None)
    return Operands(a, b) if _is_real(a) and _is_real(b) else None


def _is_real(v: object) -> TypeGuard[Tensor]:
    """Whether it is a tensor of real numbers, which can be quantized."""
    return isinstance(v, Tensor) and v.is_floating_point()


def with_operands(
    name: str, args: Sequence[Any], kwargs: Mapping[str, Any], operands: Operands
) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of the same call with other operands."""
    if name == "einsum":
        return [args[0], *operands], dict(kwargs)
    changed, named = list(args), dict(kwargs)
    for (place, key), operand in zip(ARGUMENTS[name], operands, strict=True):
        if place < len(changed):
            changed[place] = operand
        else:
            named[key] = operand
    return changed, named


def _einsum_operands(args: Sequence[Any]) -> list[Any]:
    """All operands of an einsum whose equation is a string; they may come as one list."""
    if not args or not isinstance(args[0], str):
        return []
    return list(args[1]) if len(args) == 2 and isinstance(args[1], list | tuple) else list(args[1:])


class FusedAttention(NamedTuple):
    """The arguments of `scaled_dot_product_attention`."""

    query: Tensor
    key: Tensor
    value: Tensor
    attn_mask: Tensor | None = None
    dropout_p: float = 0.0
    is_causal: bool = False
    scale: float | None = None
    enable_gqa: bool = False

    def options(self) -> dict[str, Any]:
        """The arguments after query, key and value."""
        return dict(zip(self._fields[3:], self[3:], strict=True))

    def compute(self, first: Callable[[Operands], Operands], second: Callable[[Operands], Operands]) -> Tensor:
        """Attend by two products and a softmax; `first` and `second` may change the operands of each.

        Query (..., L, E), key (..., S, E), value (..., S, V) -> (..., L, V). The scale goes to the query.
        """
        key, value = self.key, self.value
        if self.enable_gqa:
            heads = self.query.shape[-3]
            key, value = (v.repeat_interleave(heads // v.shape[-3], -3) for v in (key, value))
        scale = 1 / math.sqrt(self.query.shape[-1]) if self.scale is None else self.scale
        scores = torch.matmul(*first(Operands(self.query * scale, key.transpose(-2, -1))))
        if self.is_causal:
            allowed = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
            scores = scores.masked_fill(~allowed, -torch.inf)
        if self.attn_mask is not None and self.attn_mask.dtype == torch.bool:
            scores = scores.masked_fill(~self.attn_mask, -torch.inf)
        elif self.attn_mask is not None:
            scores = scores + self.attn_mask
        attention = F.dropout(torch.softmax(scores, -1), self.dropout_p)
        attention = attention.masked_fill((scores == -torch.inf).all(-1, keepdim=True), 0.0)
        return torch.matmul(*second(Operands(attention, value)))


def memory_of(tensor: Tensor) -> int:
    """Address of a tensor's storage; a tensor and its views share it."""
    return tensor.untyped_storage().data_ptr()


def tensors_in(values: Iterable[Any]) -> Iterator[Tensor]:
    """Tensors among the values, also inside lists and tuples."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from tensors_in(value)
