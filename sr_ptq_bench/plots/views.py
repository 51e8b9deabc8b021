"""A crop of one image as several upscalers see it, with the scores below each."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import SrqError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..data.images.pixels import Image

_LUMA = np.array([65.481, 128.553, 24.966]) / 255


class Box(NamedTuple):
    """A part of an image in HR pixels: its left upper corner, width and height."""

    left: int
    top: int
    width: int
    height: int

    @classmethod
    def parse(cls, text: str) -> Box:
        """Read `X,Y,WIDTH,HEIGHT`; raises SrqError for anything else."""
        match = re.fullmatch(r"(\d{1,6}),(\d{1,6}),(\d{1,6}),(\d{1,6})", text.replace(" ", ""))
        if match is None or not (int(match[3]) and int(match[4])):
            raise SrqError(f"no crop '{text}'; expected X,Y,WIDTH,HEIGHT in pixels, such as 100,40,96,96")
        return cls(*map(int, match.groups()))

    def of(self, image: np.ndarray) -> np.ndarray:
        """The part of an image (H, W, ...)."""
        part: np.ndarray = image[self.top : self.top + self.height, self.left : self.left + self.width]
        return part

    def check(self, image: Image, name: str) -> None:
        """Raise SrqError if the box is not within the image."""
        height, width = image.shape[:2]
        if self.left + self.width > width or self.top + self.height > height:
            box = ",".join(map(str, self))
            raise SrqError(f"crop {box} is not within image '{name}' of {width}x{height} pixels; choose another --crop")


@dataclass(frozen=True, eq=False)
class View:
    """One upscaler's whole image, its name, and its PSNR in dB."""

    label: str
    sr: Image
    psnr: float


def luma(image: Image) -> np.ndarray:
    """The Y channel that is scored, not rounded: (H, W, 3) uint8 RGB -> (H, W) float64 in [16, 235]."""
    y: np.ndarray = image.astype(np.float64) @ _LUMA + 16
    return y


def crop_psnr(sr: Image, hr: Image, box: Box) -> float:
    """PSNR of a crop in dB on the Y channel, peak 255; infinite where both are equal."""
    error = float(np.mean((box.of(luma(sr)) - box.of(luma(hr))) ** 2))
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def most_different(images: Iterable[Image], side: int) -> Box:
    """The square of `side` pixels in which the images differ most: by the mean variance of their Y channels.

    Memory does not grow with the number of images.
    """
    count, mean, squares = 0, np.zeros(()), np.zeros(())
    for y in map(luma, images):  # Welford's algorithm
        count += 1
        before = y - mean
        mean = mean + before / count
        squares = squares + before * (y - mean)
    spread = squares / count
    height, width = (min(side, length) for length in spread.shape)
    sums = np.pad(spread.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    top, left = np.unravel_index(int(inside.argmax()), inside.shape)
    return Box(int(left), int(top), width, height)
