"""What a page shows of images, sites and students, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..plots.views import Box

HR, BICUBIC, FP = "hr", "bicubic", "fp"
"""The pictures beside those of students."""


@dataclass(frozen=True)
class Crop:
    """Where the students of one bit-width differ most, and the PSNR in dB of each picture there."""

    box: Box
    psnr: Mapping[str, float]


@dataclass(frozen=True)
class ImageView:
    """An image of a test set, `width` x `height` HR pixels; its pictures are `folder/PICTURE.png`.

    `crops` are by bits; the pictures of a crop are `folder/BITS-PICTURE.png`.
    """

    dataset: str
    name: str
    folder: str
    width: int
    height: int
    crops: Mapping[str, Crop]


@dataclass(frozen=True)
class SiteView:
    """A site with the range of its values and its histogram: equal bins, the share of the largest, from 0 to 1."""

    name: str
    role: str
    kind: str
    minimum: float
    maximum: float
    histogram: Sequence[float]


@dataclass(frozen=True)
class BoundsView:
    """The bounds of a site (of channels the lowest and the highest), and the percentages that they clip."""

    lower: float
    upper: float
    below: float
    above: float


@dataclass(frozen=True)
class Change:
    """What a method changed of one kind of tensor: how many of them, and the relative norm of the difference.

    `relative` is ||W' - W|| / ||W|| over all tensors of the kind; `largest` names the tensor that changed most.
    """

    kind: str
    changed: int
    tensors: int
    relative: float
    largest: str
    largest_relative: float


@dataclass(frozen=True)
class StudentView:
    """A student: the name of its pictures, its bounds by site, what was changed, and PSNR by site if it was stored.

    `sensitivity` is the PSNR in dB with this site alone quantized; `sensitivity_unit` says against what.
    """

    picture: str
    bounds: Mapping[str, BoundsView]
    changes: Sequence[Change]
    sensitivity: Mapping[str, float] = field(default_factory=dict)
    sensitivity_unit: str = ""


@dataclass(frozen=True)
class Gallery:
    """All of one table: its images, the sites of each scope, and the students by the keys of their records."""

    images: Sequence[ImageView]
    sites: Mapping[str, Sequence[SiteView]]
    students: Mapping[str, StudentView]
