"""Reading network weights: tensors only, never pickled code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file

from .errors import SrqError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from torch import Tensor, nn


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors by name from `.safetensors`, or from `.pth`/`.pt` read with `weights_only`; raises SrqError.

    A `.pth` file may hold the tensors under `params_ema`, `params` or `state_dict`, as releases of this field do.
    """
    if not path.is_file():
        raise SrqError(f"no weights file {path}; name one under [weights] in the suite file")
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


def _is_named_tensor(item: tuple[object, object]) -> bool:
    return isinstance(item[0], str) and isinstance(item[1], torch.Tensor)


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
