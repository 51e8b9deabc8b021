"""The state of a student: everything in which it differs from its teacher, as one safetensors file.

These are the kind, bits and tensors of every quantizer, and every tensor of the network that a method changed: weights,
biases, norms. A run that was killed, `srq verify`, figures and exports read this file and nothing else.

The file has one metadata entry, `srq`, with a JSON header (`StateHeader`). Tensors are called `quantizer|SITE|NAME` and
`network|NAME`, where NAME is that of the teacher.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save

from ..errors import SrqError, first_complaint, prefix_error
from ..protocol.bits import Bits
from .kinds import LogSqrt2Quantizer, TwinUniformQuantizer
from .quantizer import Maker, Quantizer
from .student import QuantizedLayer, quantize

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor, nn

    from .network import SRModel
    from .quantizer import Site
    from .student import Student

KINDS: dict[str, type[Quantizer]] = {
    "uniform": Quantizer,
    "log-sqrt2": LogSqrt2Quantizer,
    "twin-uniform": TwinUniformQuantizer,
}
"""The kinds of quantizers that are restored without the code of any method."""
_METADATA = "srq"
_NOMINAL = Bits(weight=8, activation=8)  # every site of a state has bits of its own


class _Header(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SiteHeader(_Header):
    """The quantizer of a site: its kind, its bits and, for a kind that only a plugin knows, the plugin."""

    kind: str
    bits: int = Field(ge=1, le=32)
    plugin: str | None = None
    version: str | None = None


class StateHeader(_Header):
    """What a state is of."""

    format: Literal["srq student"] = "srq student"
    version: Literal[1] = 1
    teacher_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    sites: dict[str, SiteHeader]


def save_state(student: Student, teacher: SRModel) -> bytes:
    """The state of a student of this teacher; the same student gives the same bytes.

    Raises SrqError if the network has other tensors, or tensors of other shapes, than the teacher's.
    """
    header = StateHeader(
        teacher_sha256=network_sha256(teacher),
        sites={name: _site_header(quantizer) for name, quantizer in student.quantizers.items()},
    )
    tensors = {f"network|{name}": value for name, value in changed_tensors(student, teacher).items()}
    for site, quantizer in student.quantizers.items():
        tensors |= {f"quantizer|{site}|{name}": value for name, value in _quantizer_tensors(quantizer).items()}
    contiguous = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
    return save(contiguous, {_METADATA: json.dumps(header.model_dump(exclude_none=True), sort_keys=False)})


def load_state(
    data: bytes, teacher: SRModel, make_quantizer: Callable[[Site, int], Quantizer | None] | None = None
) -> Student:
    """The student of a state; `make_quantizer` makes quantizers of kinds that the host does not know.

    Raises SrqError if the state is damaged, of another teacher, or needs a plugin that is missing.
    """
    header, tensors = read_header(data), _tensors(data)
    if header.teacher_sha256 != network_sha256(teacher):
        raise SrqError(
            "the state is of another full-precision network; expected the weights that the run was made with"
        )

    def make(site: Site, bits: int) -> Quantizer | None:
        if site.name not in header.sites:
            raise SrqError(f"the state has no site {site.name}; it is of another network or scope")
        return _make(site, header.sites[site.name], bits, make_quantizer)

    student = quantize(teacher, _NOMINAL, make, {name: site.bits for name, site in header.sites.items()})
    superfluous = sorted(header.sites.keys() - student.quantizers.keys())
    if superfluous:
        raise SrqError(f"the state has the site {superfluous[0]}, which the network lacks; is the scope another?")
    of_sites, of_network = _sorted_by_owner(tensors, student)
    for site, quantizer in student.quantizers.items():
        with prefix_error(f"site {site}"):
            _fill(quantizer, of_sites[site])
    places = dict(_network_tensors(student))
    for name, value in of_network.items():
        if name not in places:
            raise SrqError(f"the state changes the tensor {name}, which the network lacks")
        _check_alike(name, value, places[name])
        places[name].data.copy_(value)
    return student


def read_header(data: bytes) -> StateHeader:
    """The header of a state; raises SrqError if the bytes are none, or are of a later srq."""
    try:
        length = int.from_bytes(data[:8], "little")
        text = json.loads(data[8 : 8 + length])["__metadata__"][_METADATA]
        return StateHeader.model_validate_json(text)
    except ValidationError as error:
        raise SrqError(f"not a state that this srq reads: {first_complaint(error, StateHeader)}") from error
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise SrqError("not the state of a student: damaged, or a file of bounds of srq 0.1; measure again") from error


def state_sha256(data: bytes) -> str:
    """Identifies a student to the last bit: the SHA-256 of its state."""
    return hashlib.sha256(data).hexdigest()


def network_sha256(model: SRModel) -> str:
    """Identifies the tensors of a network to the last bit."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.network.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(_as_bytes(tensor).cpu().numpy().tobytes())
    return digest.hexdigest()


def changed_tensors(student: Student, teacher: SRModel) -> dict[str, Tensor]:
    """The tensors of the student's network, by the teacher's names, that differ from the teacher's in any bit.

    Raises SrqError if the network has other tensors, or tensors of other shapes, than the teacher's.
    """
    before, now = teacher.network.state_dict(), dict(_network_tensors(student))
    if before.keys() != now.keys():
        odd = sorted(before.keys() ^ now.keys())[0]
        what = "lacks" if odd in before else "has"
        raise SrqError(f"the student {what} the tensor {odd}; a method may change tensors, not add or remove them")
    for name, tensor in now.items():
        _check_alike(name, tensor, before[name])
    return {name: tensor for name, tensor in now.items() if not same_bits(tensor, before[name])}


def same_bits(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors of one shape and type are equal to the last bit: -0 is not 0, and NaN may equal NaN."""
    return torch.equal(_as_bytes(one), _as_bytes(other))


def _check_alike(name: str, tensor: Tensor, teachers: Tensor) -> None:
    if (tensor.shape, tensor.dtype) != (teachers.shape, teachers.dtype):
        found, expected = (f"{tuple(t.shape)} {t.dtype}" for t in (tensor, teachers))
        raise SrqError(f"the tensor {name} is {found}; expected {expected}")


def _quantizer_tensors(quantizer: Quantizer) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = quantizer.state_dict(keep_vars=True)
    for name, value in tensors.items():
        if not isinstance(value, torch.Tensor):
            kind = type(value).__name__
            raise SrqError(f"the quantizer of site {quantizer.site.name} keeps {name}, a {kind}; expected tensors only")
    return tensors


def _sorted_by_owner(
    tensors: Mapping[str, Tensor], student: Student
) -> tuple[dict[str, dict[str, Tensor]], dict[str, Tensor]]:
    """The tensors of each site's quantizer and those of the network, by name; raises SrqError for any other."""
    of_sites: dict[str, dict[str, Tensor]] = {site: {} for site in student.quantizers}
    of_network: dict[str, Tensor] = {}
    for entry, value in tensors.items():
        kind, _, name = entry.partition("|")
        site, _, tensor = name.rpartition("|")
        if kind == "network":
            of_network[name] = value
        elif kind == "quantizer" and site in of_sites:
            of_sites[site][tensor] = value
        else:
            raise SrqError(f"the state has the tensor {entry}, which belongs to no site")
    return of_sites, of_network


def _network_tensors(student: Student) -> list[tuple[str, Tensor]]:
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


def _site_header(quantizer: Quantizer) -> SiteHeader:
    for kind, known in KINDS.items():
        if type(quantizer) is known:
            return SiteHeader(kind=kind, bits=quantizer.bits)
    maker = quantizer.maker or Maker("unknown", "unknown")
    kind = type(quantizer).__qualname__
    return SiteHeader(kind=kind, bits=quantizer.bits, plugin=maker.plugin, version=maker.version)


def _make(
    site: Site, header: SiteHeader, bits: int, make_quantizer: Callable[[Site, int], Quantizer | None] | None
) -> Quantizer:
    if header.plugin is None:
        if header.kind not in KINDS:
            raise SrqError(f"site {site.name} has a quantizer of kind '{header.kind}', which this srq does not know")
        return KINDS[header.kind](site, bits)
    made = make_quantizer(site, bits) if make_quantizer else None
    if made is None or type(made).__qualname__ != header.kind:
        needs = f"plugin '{header.plugin}' {header.version}"
        raise SrqError(
            f"site {site.name} has a quantizer of kind '{header.kind}' of {needs}, which is not at work here"
        )
    if made.maker is not None and made.maker.version != header.version:
        here = f"plugin '{header.plugin}' is {made.maker.version} here"
        raise SrqError(f"site {site.name}: {here}; the state needs {header.version}")
    made.bits = bits
    return made


def _fill(quantizer: Quantizer, stored: Mapping[str, Tensor]) -> None:
    """Give a quantizer its tensors; their shapes may differ from those of a new quantizer, as those of bounds do."""
    places = _quantizer_tensors(quantizer)
    if places.keys() != stored.keys():
        odd = sorted(places.keys() ^ stored.keys())[0]
        what = "lacks" if odd in places else "has"
        raise SrqError(f"the state {what} the tensor {odd}; expected {', '.join(places)}")
    for name, value in stored.items():
        if value.dtype != places[name].dtype:
            raise SrqError(f"the tensor {name} is {value.dtype}; expected {places[name].dtype}")
        places[name].data = value.to(places[name].device)
    quantizer.bounds.tensors()


def _tensors(data: bytes) -> dict[str, Tensor]:
    try:
        return load(data)
    except (SafetensorError, ValueError) as error:
        raise SrqError(f"the state is damaged: {error}") from error


def _as_bytes(tensor: Tensor) -> Tensor:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)
