"""The sites of a network and what students have there: distributions, bounds, changed tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from ..plots.bounds import percentiles
from ..plots.distributions import coarse, described
from ..quantization.state.network_tensors import network_tensors, same_bits
from .views import BoundsView, Change, SiteView

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from ..quantization.distribution import Distribution
    from ..quantization.network import SRModel
    from ..quantization.quantizer import Bounds, Site
    from ..quantization.student import Student

KINDS = ("weights", "biases", "norms", "other tensors")


def site_view(site: Site, distribution: Distribution) -> SiteView:
    """The distribution of a site for a page: its counts on a logarithmic scale."""
    _, counts = coarse(distribution)
    heights = np.log1p(counts.reshape(-1, 2).sum(1))  # half of the bins of a figure
    heights /= max(float(heights.max()), 1.0)
    kind = described(site)
    return SiteView(site.name, site.role, kind, distribution.minimum, distribution.maximum, tuple(heights.tolist()))


def bounds_view(bounds: Bounds, distribution: Distribution) -> BoundsView:
    """The bounds of a site, and what they clip of the distribution of the FP network."""
    lower, upper = bounds.tensors()
    shares = percentiles(distribution, bounds)
    return BoundsView(float(lower.min()), float(upper.max()), shares["lower"], 100 - shares["upper"])


def changes(student: Student, teacher: SRModel) -> list[Change]:
    """What differs between the networks by kind of tensor, without kinds that nothing was changed of."""
    before = teacher.network.state_dict()
    norms = {
        name for name, module in teacher.network.named_modules() if isinstance(module, nn.LayerNorm | nn.BatchNorm2d)
    }
    of_kind: dict[str, dict[str, tuple[Tensor, Tensor]]] = {kind: {} for kind in KINDS}
    for name, tensor in network_tensors(student):
        of_kind[_kind(name, norms)][name] = before[name], tensor
    found = (_change(kind, tensors) for kind, tensors in of_kind.items())
    return [change for change in found if change is not None]


def _kind(name: str, norms: set[str]) -> str:
    module, _, own = name.rpartition(".")
    if module in norms:
        return "norms"
    return {"weight": "weights", "bias": "biases"}.get(own, "other tensors")


def _change(kind: str, tensors: Mapping[str, tuple[Tensor, Tensor]]) -> Change | None:
    norms = {name: (_norm(now.double() - was.double()), _norm(was)) for name, (was, now) in tensors.items()}
    changed = {name: _ratio(*norms[name]) for name, (was, now) in tensors.items() if not same_bits(was, now)}
    if not changed:
        return None
    largest = max(changed, key=lambda name: changed[name])
    difference, whole = (float(np.hypot.reduce(np.array(column))) for column in zip(*norms.values(), strict=True))
    return Change(kind, len(changed), len(tensors), _ratio(difference, whole), largest, changed[largest])


def _norm(tensor: Tensor) -> float:
    return float(tensor.double().norm())


def _ratio(difference: float, whole: float) -> float:
    return difference / whole if whole else float("inf" if difference else 0)
