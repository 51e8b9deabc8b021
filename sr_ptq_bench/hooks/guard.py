"""Calls the code of a plugin: its exceptions name the plugin, settings are restored, what it prints goes to stderr."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import contextmanager, redirect_stdout, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..errors import plugin_errors
from ..quantization.randomness import generator_states, restore_generators

if TYPE_CHECKING:
    from collections.abc import Iterator

_TURN = threading.RLock()


@contextmanager
def guarded(what: str) -> Iterator[None]:
    """Turn any exception of a plugin, `SystemExit` too, into one line that begins with `what`."""
    with plugin_errors(what), settings_restored():
        yield


@contextmanager
def settings_restored() -> Iterator[None]:
    """Restore what decides how torch and NumPy compute, and the working folder; stdout is for results of srq."""
    before = [(get, restore, get()) for get, restore, _ in _SETTINGS]
    flags = [(of, name, getattr(of, name)) for of, names in _FLAGS for name in names]
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        for get, restore, value in before:
            if get() != value:
                restore(value)
        for of, name, value in flags:
            if getattr(of, name) != value:
                setattr(of, name, value)


@contextmanager
def fresh_settings() -> Iterator[None]:
    """Compute as a new process does, in whatever mode the caller is: no autocast, gradients, numbers of float32.

    The caller's random generators are as before at the end. Threads take turns: all of this belongs to the process.
    """
    with _TURN:
        generators = generator_states()
        try:
            with settings_restored(), torch.inference_mode(False):
                for get, put, value in _SETTINGS:
                    if value is not None and get() != value:
                        put(value)
                yield
        finally:
            restore_generators(generators)


def _deterministic() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _return_to(folder: Path | None) -> None:
    with suppress(OSError):  # it is gone, which loses no result
        if folder:
            os.chdir(folder)


def _folder() -> Path | None:
    """The working folder, to which paths of a user are relative; None if it is gone."""
    with suppress(OSError):
        return Path.cwd()
    return None


_SETTINGS: list[tuple[Any, Any, Any]] = [
    (torch.get_default_dtype, torch.set_default_dtype, torch.float32),
    (torch.get_default_device, torch.set_default_device, torch.device("cpu")),
    (torch.is_grad_enabled, torch.set_grad_enabled, True),
    (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly, False),
    (torch.get_num_threads, torch.set_num_threads, None),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "highest"),
    (_deterministic, lambda mode: torch.use_deterministic_algorithms(mode[0], warn_only=mode[1]), None),
    *(
        (partial(torch.is_autocast_enabled, kind), partial(torch.set_autocast_enabled, kind), False)
        for kind in ("cpu", "cuda")
    ),
    (np.geterr, lambda modes: np.seterr(**modes), None),
    (_folder, _return_to, None),
]
"""How to get and to set what a plugin may change, and what a new process has; None is left to the user."""
_FLAGS = [
    (torch.backends.cudnn, ("enabled", "benchmark", "deterministic", "allow_tf32")),
    (torch.backends.cuda.matmul, ("allow_tf32",)),
    (torch.backends.mkldnn, ("enabled",)),
]
