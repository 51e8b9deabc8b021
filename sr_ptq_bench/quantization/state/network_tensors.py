"""The tensors of a network: which of them a method changed, and their hash."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import torch

from ...errors import SrqError
from ..quantize import QuantizedLayer
from ..quantizer import Quantizer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from ..network import SRModel
    from ..student import Student


def network_sha256(model: SRModel) -> str:
    """Identifies the tensors of a network to the last bit."""
    return tensors_sha256(model.network.state_dict())


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """Identifies named tensors to the last bit."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(as_bytes(tensor).cpu().numpy().tobytes())
    return digest.hexdigest()


def changed_tensors(student: Student, teacher: SRModel) -> dict[str, Tensor]:
    """The tensors of the student's network, by the teacher's names, that differ from the teacher's in any bit.

    Raises SrqError if the network has other tensors, or tensors of other shapes, than the teacher's.
    """
    before, now = teacher.network.state_dict(), dict(network_tensors(student))
    if before.keys() != now.keys():
        odd = sorted(before.keys() ^ now.keys())[0]
        what = "lacks" if odd in before else "has"
        raise SrqError(f"the student {what} the tensor {odd}; a method may change tensors, not add or remove them")
    for name, tensor in now.items():
        check_alike(name, tensor, before[name])
    return {name: tensor for name, tensor in now.items() if not same_bits(tensor, before[name])}


def same_bits(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors of one shape and type are equal to the last bit: -0 is not 0, and NaN may equal NaN."""
    return torch.equal(as_bytes(one), as_bytes(other))


def check_alike(name: str, tensor: Tensor, teachers: Tensor) -> None:
    """Raise SrqError if a tensor of the student differs from the teacher's in shape or type."""
    if (tensor.shape, tensor.dtype) != (teachers.shape, teachers.dtype):
        found, expected = (f"{tuple(t.shape)} {t.dtype}" for t in (tensor, teachers))
        raise SrqError(f"the tensor {name} is {found}; expected {expected}")


def network_tensors(student: Student) -> list[tuple[str, Tensor]]:
    """The tensors of the network, without those of quantizers, under the teacher's names."""
    found = []
    modules = dict(student.network.named_modules(remove_duplicate=False))  # a module may have several names
    for name, tensor in student.network.state_dict(keep_vars=True).items():
        path = name.split(".")
        parents = [modules[".".join(path[:length])] for length in range(len(path))]
        if any(isinstance(module, Quantizer) for module in parents):
            continue
        kept = [part for part, parent in zip(path, parents, strict=True) if not _is_wrapped(part, parent)]
        found.append((".".join(kept), tensor.detach()))
    return found


def _is_wrapped(part: str, parent: nn.Module) -> bool:
    """Whether this part of a name is the layer inside a QuantizedLayer, which the teacher does not have."""
    return part == "layer" and isinstance(parent, QuantizedLayer)


def as_bytes(tensor: Tensor) -> Tensor:
    """The memory of a tensor's numbers: (B,) uint8."""
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)
