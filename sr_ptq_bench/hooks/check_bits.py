"""The host's checks of a student's bits: those that a method gives to sites, and those that its quantizers have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import SrqError, unknown
from ..quantization.student import site_elements

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocol.bits import Bits
    from ..quantization.quantizer import Role, Site
    from ..quantization.student import Student


def check_bits(chosen: object, student: Student, bits: Bits) -> None:
    """Raise SrqError unless `srq_choose_bits` returned 2 to 8 bits by site, with means of at most `bits`."""
    if not isinstance(chosen, Mapping):
        raise SrqError(f"srq_choose_bits returns a {type(chosen).__name__}; expected bits by site")
    for name, width in chosen.items():
        if name not in student.quantizers:
            raise unknown("site", str(name), student.quantizers)
        if type(width) is not int or not 2 <= width <= 8:
            raise SrqError(f"srq_choose_bits gives site {name} {width!r} bits; expected an int from 2 to 8")
    for role, mean in mean_bits(student, lambda site: chosen.get(site.name, bits.of(site.role))).items():
        if mean > bits.of(role):
            raise SrqError(
                f"srq_choose_bits gives {role}s {mean:.3f} bits on average; expected {bits.of(role)} at most"
            )


def check_mean_bits(student: Student, bits: Bits, chosen: Mapping[str, int]) -> None:
    """Raise SrqError if quantizers have more bits on average than the run, or than `srq_choose_bits` has given them.

    The first and the last layer do not count: methods may keep 8 bits there, and tables say so.
    """

    def given(site: Site) -> int:
        return chosen.get(site.name, bits.of(site.role))

    if all(of.bits <= given(of.site) or of.site.edge for of in student.quantizers.values()):
        return
    allowed = mean_bits(student, lambda site: 0 if site.edge else given(site))
    inner = mean_bits(student, lambda site: 0 if site.edge else student.quantizers[site.name].bits)
    for role, mean in inner.items():
        if mean > max(bits.of(role), allowed[role]):
            raise SrqError(
                f"its quantizers of {role}s have {mean:.3f} bits on average; expected {bits.of(role)} at most, "
                "the first and the last layer left out"
            )


def mean_bits(student: Student, of: Callable[[Site], int]) -> dict[Role, float]:
    """The mean bits of all numbers at the sites of a role; sites with 0 bits do not count."""
    elements = site_elements(student)
    means: dict[Role, float] = {}
    roles: tuple[Role, ...] = ("weight", "activation")
    for role in roles:
        sites = [quantizer.site for quantizer in student.quantizers.values() if quantizer.site.role == role]
        counted = {site.name: elements[site.name] for site in sites if of(site)}
        total = sum(elements[site.name] * of(site) for site in sites)
        means[role] = total / sum(counted.values()) if sum(counted.values()) else 0.0
    return means
