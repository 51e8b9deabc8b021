"""Reads files of `torch.save` without running any code in them."""

from __future__ import annotations

import argparse
import warnings
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch

from ..errors import SrqError
from .archive_files import open_zip
from .files import too_large

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

EXPECTED = "expected safetensors, or a state dict of `torch.save(network.state_dict(), FILE)`"
_FOREIGN = {
    b"\x89HDF": "an HDF5 file (Keras)",
    b"GGUF": "a GGUF file",
    b"version https://git-lfs": "a Git LFS pointer and not the file: run `git lfs pull`",
    b"<": "a web page",
    b"{": "a JSON file",
    b"\x1f\x8b": "a gzip file: unpack it",
    b"\xfd7zXZ": "an xz file: unpack it",
    b"Rar!": "a RAR archive: unpack it",
    b"7z\xbc\xaf": "a 7z archive: unpack it",
    b"\x93NUMPY": "a NumPy array",
}


def read_pickled(path: Path, start: bytes, limit: int) -> Any:
    """The content of a file of `torch.save` that begins with `start`; raises SrqError for anything but plain data."""
    foreign = next((what for mark, what in _FOREIGN.items() if start.lstrip().startswith(mark)), None)
    if foreign:
        raise SrqError(f"cannot read weights {path}: it is {foreign}; {EXPECTED}")
    if start.startswith(b"PK"):
        _check_zip(path, limit)
    try:
        with warnings.catch_warnings(), _harmless_classes(), path.open("rb") as file:  # torch goes by a path's suffix
            warnings.simplefilter("ignore")  # torch on the age of the file
            return torch.load(file, "cpu", weights_only=True)
    except Exception as error:  # damaged pickles raise almost anything: IndexError, struct.error, AssertionError
        kind = "it is no safetensors, whatever its name says; " if path.suffix.lower() == ".safetensors" else ""
        what = f"{kind}damaged, or holds more than tensors; {EXPECTED}{_classes(path)}"
        raise SrqError(f"cannot read weights {path}: {what}") from error


def _check_zip(path: Path, limit: int) -> None:
    """Raise SrqError for a zip file that `torch.save` did not write, or that unpacks to too many bytes."""
    try:
        with path.open("rb") as file, open_zip(file) as archive:
            names = archive.namelist()
            unpacked = sum(info.file_size for info in archive.infolist())
    except Exception as error:  # zipfile raises several kinds
        raise SrqError(f"cannot read weights {path}: damaged ({error}); {EXPECTED}") from error
    if unpacked > limit:
        raise too_large(f"weights {path}", limit)
    if any(name.endswith("/constants.pkl") for name in names):
        remedy = "save its tensors by `torch.save(torch.jit.load(FILE).state_dict(), NEW)`"
        raise SrqError(f"cannot read weights {path}: it is TorchScript, which is a program; {remedy}")
    if not any(name.endswith("data.pkl") for name in names):
        inside = f" that holds {names[0][:80]}" if names else ""
        raise SrqError(f"cannot read weights {path}: it is a zip file{inside}, not one of torch; {EXPECTED}")


class NumPyValue:
    """Stands for a number, an array or a data type of NumPy in a pickle; what it holds is not read.

    NumPy sets the state of a data type without a check: one changed byte of a file ended the process.
    """

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


def _harmless_classes() -> AbstractContextManager[Any]:
    """Allows plain data next to the tensors: NumPy's numbers and arrays, and argparse's options."""
    if not hasattr(torch.serialization, "get_unsafe_globals_in_checkpoint"):  # before torch 2.6
        return nullcontext()
    core = ("numpy.core.multiarray", "numpy._core.multiarray")  # of NumPy 1 and 2
    functions = [f"{module}.{name}" for module in core for name in ("scalar", "_reconstruct")]
    numpy = [(NumPyValue, name) for name in ("numpy.dtype", "numpy.ndarray", *functions)]
    return torch.serialization.safe_globals([argparse.Namespace, *numpy])


def _classes(path: Path) -> str:
    """Names the refused classes that a pickle asks for; empty if they are not known."""
    try:
        with warnings.catch_warnings(), _harmless_classes():
            warnings.simplefilter("ignore")
            names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # damaged, or of the format before zip files
        return ""
    return f"; it asks for {', '.join(sorted(names)[:3])}" if names else ""
