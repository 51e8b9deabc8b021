"""Calls the code of a plugin: its exceptions name the plugin, and torch's settings are restored."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from ..errors import plugin_errors

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def guarded(what: str) -> Iterator[None]:
    """Turn any exception of a plugin, `SystemExit` too, into one line that begins with `what`."""
    with plugin_errors(what), torch_defaults():
        yield


@contextmanager
def torch_defaults() -> Iterator[None]:
    """Restore torch's default type, default device and gradient mode."""
    dtype, grad, device = torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_default_device()
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(grad)
        if torch.get_default_device() != device:
            torch.set_default_device(device)
