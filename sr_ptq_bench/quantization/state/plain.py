"""Numbers and text in nested dicts, lists and tuples as a tensor of bytes: what a checkpoint keeps beside tensors."""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import Tensor

_KINDS = {"list": list, "tuple": tuple}


def plain_bytes(values: dict[str, Any]) -> Tensor:
    """The values as bytes, to the last bit; entries of other kinds, such as functions, are left out."""
    return torch.frombuffer(bytearray(json.dumps(_packed(values)).encode()), dtype=torch.uint8)


def from_plain_bytes(data: Tensor) -> Any:
    """The values of `plain_bytes`."""
    return _unpacked(json.loads(bytes(data.tolist())))


def _packed(value: Any) -> Any:
    if isinstance(value, dict):  # its keys may be numbers
        return {"dict": [[_packed(key), _packed(v)] for key, v in value.items() if _is_plain(v)]}
    if isinstance(value, list | tuple):
        return {"tuple" if isinstance(value, tuple) else "list": [_packed(v) for v in value]}
    return value.item() if isinstance(value, Tensor) else value


def _unpacked(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, inside),) = value.items()
    if kind == "dict":
        return {_unpacked(key): _unpacked(v) for key, v in inside}
    return _KINDS[kind](map(_unpacked, inside))


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return True  # without what is not plain in it
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, Tensor):
        return value.numel() == 1
    return value is None or isinstance(value, bool | int | float | str)
