"""Saves the state of a student as one safetensors file, and restores the student from it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from ...errors import SrqError, prefix_error
from ...protocol.bits import Bits
from ..kinds import LogSqrt2Quantizer, TwinUniformQuantizer
from ..quantize import quantize
from ..quantizer import Maker, Quantizer, check_channels
from .header import METADATA, SiteHeader, StateHeader, read_header
from .network_tensors import changed_tensors, check_alike, network_sha256, network_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from ..network import SRModel
    from ..quantizer import Site
    from ..student import Student

KINDS: dict[str, type[Quantizer]] = {
    "uniform": Quantizer,
    "log-sqrt2": LogSqrt2Quantizer,
    "twin-uniform": TwinUniformQuantizer,
}
"""The kinds of quantizers that are restored without the code of any method."""

_NOMINAL = Bits(weight=8, activation=8)  # every site of a state has its own bits


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
    return save(contiguous, {METADATA: json.dumps(header.model_dump(exclude_none=True), sort_keys=False)})


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
        raise SrqError(f"the state has the site {superfluous[0]}, which the network lacks; it may be of another scope")
    of_sites, of_network = _sorted_by_owner(tensors, student)
    for site, quantizer in student.quantizers.items():
        with prefix_error(f"site {site}"):
            _fill(quantizer, of_sites[site])
        check_channels(quantizer.site, quantizer.lower)
    places = dict(network_tensors(student))
    for name, value in of_network.items():
        if name not in places:
            raise SrqError(f"the state changes the tensor {name}, which the network lacks")
        check_alike(name, value, places[name])
        places[name].data.copy_(value)
    return student


def state_sha256(data: bytes) -> str:
    """Identifies a student to the last bit: the SHA-256 of its state."""
    return hashlib.sha256(data).hexdigest()


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
    """Give a quantizer its tensors; shapes, such as those of bounds, may differ from a new quantizer's."""
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
