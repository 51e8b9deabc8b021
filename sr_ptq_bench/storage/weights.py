"""Reading network weights: tensors only, never pickled code."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file

from ..errors import SrqError
from .files import too_large

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from torch import Tensor, nn


LARGEST_FILE = 2**31


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors by name from `.safetensors`, or from `.pth`/`.pt` read with `weights_only`; raises SrqError.

    A `.pth` file may hold the tensors under `params_ema`, `params` or `state_dict`, as releases of this field do.
    """
    if not path.is_file():
        raise SrqError(f"no weights file {path}; name one under [weights] in the suite file")
    if path.stat().st_size > LARGEST_FILE or _unpacked_bytes(path) > LARGEST_FILE:
        raise too_large(f"weights {path}", LARGEST_FILE)
    try:
        loaded = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except Exception as error:  # damaged pickles raise almost anything: IndexError, struct.error, AssertionError
        raise SrqError(
            f"cannot read weights {path}: damaged, or holds more than tensors; expected safetensors"
        ) from error
    for key in ("params_ema", "params", "state_dict"):
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
            break
    if not isinstance(loaded, dict) or not loaded or not all(map(_is_named_tensor, loaded.items())):
        raise SrqError(f"weights {path} hold no table of tensors")
    return loaded


def _unpacked_bytes(path: Path) -> int:
    """What the entries of a zip file, which newer `.pth` files are, say they unpack to; 0 for another file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return sum(info.file_size for info in archive.infolist())
    except Exception:  # no zip file, or one so damaged that reading it will fail as well
        return 0


def _is_named_tensor(item: tuple[object, object]) -> bool:
    """Whether it is a name and a plain tensor of real numbers that holds every one of them."""
    name, tensor = item
    return (
        isinstance(name, str)
        and isinstance(tensor, torch.Tensor)
        and tensor.layout == torch.strided
        and tensor.device.type == "cpu"
        and not (tensor.is_quantized or tensor.is_complex())
        and tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()
    )


def fill(
    network: nn.Module, path: Path, rebuilt: Collection[str] = (), aliases: Mapping[str, str] | None = None
) -> None:
    """Load the weights file into the network; raises SrqError for a tensor missing, unknown, misshapen or not finite.

    Buffers whose name ends with one of `rebuilt` are made by the network itself and may be absent or present. `aliases`
    maps names of another code for the same network to the names of this one.
    """
    aliases = aliases or {}
    stored = {aliases.get(name, name): tensor for name, tensor in read_weights(path).items()}
    tensors = {name: tensor for name, tensor in stored.items() if not name.endswith(tuple(rebuilt))}
    expected = {name: v for name, v in network.state_dict().items() if not name.endswith(tuple(rebuilt))}
    for name, tensor in expected.items():
        if name not in tensors:
            raise SrqError(f"weights {path} lack the tensor {name}; they belong to another network or scale")
        if tensors[name].shape != tensor.shape:
            shapes = f"{tuple(tensors[name].shape)}, expected {tuple(tensor.shape)}"
            raise SrqError(f"weights {path}: tensor {name} is {shapes}; they belong to another network or scale")
    for name, tensor in tensors.items():
        if name not in expected:
            raise SrqError(f"weights {path} hold an unknown tensor {name}; they belong to another network")
        if not torch.isfinite(tensor).all():
            raise SrqError(f"weights {path}: tensor {name} has values that are not finite")
    network.load_state_dict(tensors, strict=False)
