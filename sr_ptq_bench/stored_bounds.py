"""The bounds of a student as a file of tensors: what a record's scores were made with."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save

from .checkpoint import read_weights
from .errors import SrqError
from .quantizer import Bounds

if TYPE_CHECKING:
    from pathlib import Path

    from .model import Student


def packed(student: Student) -> bytes:
    """A safetensors file with one float32 tensor per site: (2,) or (2, C), the lower bounds before the upper ones."""
    return save({name: torch.stack(quantizer.bounds.tensors()) for name, quantizer in student.quantizers.items()})


def restore(student: Student, path: Path) -> None:
    """Give every site the bounds of a file; raises SrqError where they are damaged or another student's."""
    stored = read_weights(path)
    if stored.keys() != student.quantizers.keys():
        differing = sorted(stored.keys() ^ student.quantizers.keys())
        raise SrqError(f"bounds {path} are of other sites than this student's; the first is {differing[0]}")
    for name, quantizer in student.quantizers.items():
        if stored[name].shape[:1] != (2,):
            raise SrqError(f"bounds {path}: site {name} has the shape {tuple(stored[name].shape)}, expected (2, ...)")
        try:
            quantizer.set_bounds(Bounds(*stored[name]))
        except SrqError as error:
            raise SrqError(f"bounds {path}: site {name}: {error}") from error


def bounds_sha256(student: Student) -> str:
    """Identifies the bounds of all sites to the last bit."""
    digest = hashlib.sha256()
    for name, quantizer in student.quantizers.items():
        digest.update(name.encode())
        for end in quantizer.bounds.tensors():
            digest.update(end.numpy().tobytes())
    return digest.hexdigest()
