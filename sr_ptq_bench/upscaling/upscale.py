"""From a photo to a larger one, tile by tile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..data import resize
from ..errors import SrqError, prefix_error
from ..evaluation.score import network_upscaler
from ..evaluation.tiles import along
from .picture import LONGEST

if TYPE_CHECKING:
    from ..data.images.pixels import Image
    from ..progress import Progress
    from ..protocol.suite import Tiles
    from ..quantization.network import SRModel
    from .picture import Header, Picture

BAND, MARGIN, GAP = 64, 4, 8
"""LR rows of a band of bicubic, the rows that it sees on both sides (the kernel reaches 2), and pixels between pictures
side by side."""


def check(photo: Header, model: SRModel, compare: bool) -> None:
    """Raise SrqError if the photo is too small for the network, or its result too long for its format."""
    size = f"{photo.width}x{photo.height} pixels"
    if why := model.too_small(min(photo.height, photo.width)):
        raise SrqError(f"{size}, {why}")
    width = model.scale * photo.width
    longest = max(model.scale * photo.height, 2 * width + GAP if compare else width)
    if longest > LONGEST.get(photo.format, longest):
        most = LONGEST[photo.format]
        raise SrqError(
            f"{size} become {longest} at the longer side; {photo.format} holds {most}; save the photo as PNG"
        )


def upscale(picture: Picture, model: SRModel, tiles: Tiles, progress: Progress, name: str) -> Picture:
    """The picture through the network, its alpha by bicubic; raises SrqError if it is too small for the network."""
    height, width = picture.rgb.shape[:2]
    total = len(list(along(height, tiles))) * len(list(along(width, tiles)))
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        progress(done, total, name)

    progress(0, total, name)
    with prefix_error(name):
        rgb = network_upscaler(model, tiles, seed=0, after_tile=count)(picture.rgb)
    alpha = None
    if picture.alpha is not None:
        alpha = np.ascontiguousarray(bicubic(np.repeat(picture.alpha[..., None], 3, axis=2), model.scale)[..., 0])
    return picture.with_pixels(rgb, alpha)


def bicubic(lr: Image, scale: int) -> Image:
    """`data.resize.upscale` in bands of rows, to the same pixels: whole, its integers take 48 bytes a pixel."""
    parts = [_band(lr, top, scale) for top in range(0, len(lr), BAND)]
    return np.concatenate(parts)


def _band(lr: Image, top: int, scale: int) -> Image:
    first = max(0, top - MARGIN)
    seen = resize.upscale(lr[first : top + BAND + MARGIN], scale)
    start = scale * (top - first)
    return seen[start : start + scale * min(BAND, len(lr) - top)]


def side_by_side(before: Picture, after: Picture, scale: int) -> Picture:
    """Bicubic at the left, the network at the right, with a white gap; without alpha."""
    height = scale * before.rgb.shape[0]
    gap = np.full((height, GAP, 3), 255, dtype=np.uint8)
    return after.with_pixels(np.concatenate([bicubic(before.rgb, scale), gap, after.rgb], axis=1), None)
