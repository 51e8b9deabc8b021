"""Calls the code of a plugin: its exceptions name the plugin, and torch's settings are restored."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from ..errors import DEBUG, PluginError, SrqError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def guarded(what: str) -> Iterator[None]:
    """Turn any exception of a plugin, `SystemExit` too, into one line that begins with `what`."""
    try:
        with torch_defaults():
            yield
    except SrqError:
        raise
    except SystemExit as error:
        raise PluginError(f"{what}: it calls sys.exit({error.code!r})") from error
    except Exception as error:
        raise PluginError(f"{what}: {type(error).__name__}: {error}; {DEBUG}=1 shows the traceback") from error


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
