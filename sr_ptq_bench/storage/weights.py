"""Reading network weights: tensors only, never pickled code. The first bytes decide the format."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file

from ..errors import SrqError
from .files import too_large
from .pickles import EXPECTED, read_pickled

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from torch import Tensor, nn

LARGEST_FILE = 2**31

TABLES = tuple(
    "params_ema params-ema state_dict_ema model_ema ema_state_dict g_ema ema params net_g net_G netG generator "  # noqa: SIM905
    "state_dict model_state_dict model_state net model network weights module shadow checkpoint".split()
)
"""Keys under which checkpoints hold the tensors of a network; averaged ones first, as releases intend."""
PREFIXES = (*TABLES, "_orig_mod")
"""Prefixes that wrappers put before the names of tensors, up to a dot."""
_TRAININGS = {
    "param_groups": "the state of an optimizer",
    "optimizers": "the state of a training (optimizers, schedulers)",
    "optimizer": "the state of a training (an optimizer)",
    "optimizer_state_dict": "the state of a training (an optimizer)",
}


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors by name from a file of safetensors or of `torch.save`, whatever it is called; raises SrqError.

    A file of `torch.save` is read with `weights_only`. It may hold the tensors under one of TABLES, as checkpoints do.
    """
    if not path.is_file():
        raise SrqError(f"no weights file {path}; name one under [weights] in the suite file")
    if path.stat().st_size > LARGEST_FILE:
        raise too_large(f"weights {path}", LARGEST_FILE)
    with path.open("rb") as file:
        start = file.read(32)
    loaded = (
        _safetensors(path) if is_safetensors(start, path.stat().st_size) else read_pickled(path, start, LARGEST_FILE)
    )
    table = _table(loaded)
    if table is None:
        raise SrqError(f"weights {path} hold no table of tensors{_instead(loaded)}")
    return table


def is_safetensors(start: bytes, size: int) -> bool:
    """Whether these first bytes are of safetensors: a length in 8 bytes, then a JSON table of that length."""
    return start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= size - 8


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except Exception as error:  # what the library raises is not documented
        why = str(error).rpartition("Error while deserializing header: ")[2]
        raise SrqError(f"cannot read weights {path}: damaged ({why}); {EXPECTED}") from error


def _table(loaded: object, depth: int = 3) -> dict[str, Tensor] | None:
    """The table of tensors itself, or the one under a key of TABLES; None if there is none."""
    if not isinstance(loaded, dict) or not loaded or depth < 0:
        return None
    if all(map(_is_named_tensor, loaded.items())):
        return dict(loaded)
    tables = (_table(loaded[key], depth - 1) for key in TABLES if key in loaded)
    return next((table for table in tables if table), None)


def _instead(loaded: object) -> str:
    """What was found instead of a table of tensors, and what to do."""
    if not isinstance(loaded, dict):
        return f", but a value of type {type(loaded).__name__}; {EXPECTED}"
    training = next((what for key, what in _TRAININGS.items() if key in loaded), None)
    elsewhere = ", ".join(f"'{key}'" for key, value in loaded.items() if key not in TABLES and _table(value))
    mixed = next(filter(None, map(_mixed, (loaded, *(loaded.get(key) for key in TABLES)))), None)
    if mixed:
        return f": {mixed}; save the tensors alone"
    if elsewhere:
        return f" under a key that is known; there are some under {elsewhere}: save that table alone"
    if training:
        return f", but {training}; name the file with the network's weights"
    return f", but: {', '.join(map(str, [*loaded][:5])) or 'nothing'}; {EXPECTED}"


def _mixed(table: object) -> str | None:
    """The entry next to the tensors of a table that is no tensor."""
    if not isinstance(table, dict) or not any(map(_is_named_tensor, table.items())):
        return None
    odd = next(((name, value) for name, value in table.items() if not _is_named_tensor((name, value))), None)
    return odd and f"beside tensors there is '{odd[0]}' of type {type(odd[1]).__name__}"


def _is_named_tensor(item: tuple[object, object]) -> bool:
    """Whether the entry is a name and a plain, complete tensor of real numbers."""
    name, tensor = item
    return (
        isinstance(name, str)
        and isinstance(tensor, torch.Tensor)
        and tensor.layout == torch.strided
        and tensor.device.type == "cpu"
        and not (tensor.is_quantized or tensor.is_complex())
        and tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()
    )


def unwrapped(tensors: Mapping[str, Tensor], wanted: Collection[str], where: str) -> dict[str, Tensor]:
    """The tensors by the names of `wanted`, without a wrapper's prefix such as `module.`.

    If a table has several networks, such as `params_ema.` and `params.`, the network with most of the wanted names is
    taken; if equal, the first in TABLES. Raises SrqError for an unknown prefix; the error calls the file `where`.
    """
    counts = dict.fromkeys(["", *TABLES], 0)
    for name in tensors:
        for prefix, rest in _splits(name):
            if rest in wanted:
                counts[prefix] = counts.get(prefix, 0) + 1
    best = max(counts, key=lambda prefix: counts[prefix])
    if best and not set(best.split(".")) <= set(PREFIXES):
        raise SrqError(f"{where}: the names of tensors begin with '{best}.', a prefix that is not known; remove it")
    return (
        {name[len(best) + 1 :]: v for name, v in tensors.items() if name.startswith(f"{best}.")}
        if best
        else {**tensors}
    )


def without_prefix(tensors: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """The tensors of a network under one of PREFIXES; None if there are none."""
    for prefix in PREFIXES:
        below = {name.removeprefix(f"{prefix}."): v for name, v in tensors.items() if name.startswith(f"{prefix}.")}
        if below:
            return below
    return None


def _splits(name: str) -> Iterator[tuple[str, str]]:
    """All ways to split a name at a dot, the whole name first."""
    yield "", name
    for at, character in enumerate(name):
        if character == ".":
            yield name[:at], name[at + 1 :]


def fill(
    network: nn.Module, path: Path, rebuilt: Collection[str] = (), aliases: Mapping[str, str] | None = None
) -> None:
    """Load the weights file into the network; raises SrqError for a tensor missing, unknown, misshapen or not finite.

    Buffers with a name that ends with one of `rebuilt` are made by the network itself and may be absent. `aliases`
    maps names of another code for the same network to the names of this one.
    """
    aliases = aliases or {}
    expected = {name: v for name, v in network.state_dict().items() if not name.endswith(tuple(rebuilt))}
    found = unwrapped(read_weights(path), expected.keys() | aliases.keys(), f"weights {path}")
    stored = {aliases.get(name, name): tensor for name, tensor in found.items()}
    tensors = {name: tensor for name, tensor in stored.items() if not name.endswith(tuple(rebuilt))}
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
