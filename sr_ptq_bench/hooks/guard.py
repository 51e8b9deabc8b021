"""Calls the code of a plugin: its exceptions name the plugin, settings are restored, what it prints goes to stderr."""

from __future__ import annotations

import sys
from contextlib import contextmanager, redirect_stdout
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..errors import plugin_errors

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def guarded(what: str) -> Iterator[None]:
    """Turn any exception of a plugin, `SystemExit` too, into one line that begins with `what`."""
    with plugin_errors(what), settings_restored():
        yield


@contextmanager
def settings_restored() -> Iterator[None]:
    """Restore what decides how torch and NumPy compute, for all code; stdout belongs to the results of srq."""
    before = [(restore, get()) for get, restore in _SETTINGS]
    flags = [(of, name, getattr(of, name)) for of, names in _FLAGS for name in names]
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        for (get, _), (restore, value) in zip(_SETTINGS, before, strict=True):
            if get() != value:
                restore(value)
        for of, name, value in flags:
            if getattr(of, name) != value:
                setattr(of, name, value)


def _deterministic() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


_SETTINGS: list[tuple[Any, Any]] = [
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_default_device, torch.set_default_device),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (_deterministic, lambda mode: torch.use_deterministic_algorithms(mode[0], warn_only=mode[1])),
    *(
        (partial(torch.is_autocast_enabled, kind), partial(torch.set_autocast_enabled, kind))
        for kind in ("cpu", "cuda")
    ),
    (np.geterr, lambda modes: np.seterr(**modes)),
]
"""How to get and to set what a plugin may change."""
_FLAGS = [
    (torch.backends.cudnn, ("enabled", "benchmark", "deterministic", "allow_tf32")),
    (torch.backends.cuda.matmul, ("allow_tf32",)),
    (torch.backends.mkldnn, ("enabled",)),
]
