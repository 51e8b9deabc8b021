"""Calling the code of a plugin: what it raises names it, and what it changes in torch is put back."""

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
    """Put torch's default type, device and gradients back where they were."""
    dtype, grad, device = torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_default_device()
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(grad)
        if torch.get_default_device() != device:
            torch.set_default_device(device)
