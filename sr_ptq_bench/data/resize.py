"""The upscalers and the downscaler of the protocol, in 8 bit.

MATLAB's imresize makes the LR images of every SR benchmark. No library reproduces it to the bit: BasicSR's
port works in float32 and does not round between the two passes, OpenCV and Pillow have another kernel or
other rounding. Here the weights are exact integers, so no sum depends on floating point.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import SrqError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .images.pixels import Image, Integers

KERNEL_WIDTH = 4


def cubic(x: Fraction) -> Fraction:
    """Keys' cubic convolution kernel (a = -1/2), zero beyond |x| = 2."""
    x = abs(x)
    if x <= 1:
        return (3 * x**3 - 5 * x**2) / 2 + 1
    if x <= 2:
        return (-(x**3) + 5 * x**2) / 2 - 4 * x + 2
    return Fraction(0)


def _taps(position: int, scale: Fraction) -> tuple[int, list[Fraction]]:
    """The first input index under the kernel of an output index, and the weights from there on, of sum 1."""
    centre = (position + Fraction(1, 2)) / scale - Fraction(1, 2)
    shrink = min(scale, Fraction(1))  # antialiasing widens the kernel when the image shrinks
    half = KERNEL_WIDTH / shrink / 2
    first = math.floor(centre - half)
    weights = [cubic((centre - first - tap) * shrink) for tap in range(math.ceil(2 * half) + 2)]
    total = sum(weights, Fraction(0))
    return first, [weight / total for weight in weights]


def _weights(length: int, scale: Fraction) -> tuple[Integers, Integers, int]:
    """Input indices and integer weights of every output, both (out, taps), and the weights' denominator.

    The weights repeat with the numerator of the scale, while the indices advance by its denominator. Beyond
    the border the image is mirrored, edge pixel included.
    """
    out = math.ceil(length * scale)
    phases = [_taps(position, scale) for position in range(scale.numerator)]
    denominator = math.lcm(*(weight.denominator for _, weights in phases for weight in weights))
    integers = [[int(weight * denominator) for weight in weights] for _, weights in phases]
    table = np.array(integers, dtype=np.int64)
    first = np.array([first for first, _ in phases], dtype=np.int64)
    period, phase = np.divmod(np.arange(out, dtype=np.int64), scale.numerator)
    start = first[phase] + period * scale.denominator
    mirrored = (start[:, None] + np.arange(table.shape[1])) % (2 * length)
    return np.minimum(mirrored, 2 * length - 1 - mirrored), table[phase], denominator


def _sum_rows(image: NDArray[Any], scale: Fraction) -> tuple[Integers, int]:
    """Resize the rows of (H, W, 3); the exact result as integers and their common denominator."""
    indices, weights, denominator = _weights(image.shape[0], scale)
    total = np.zeros((len(indices), *image.shape[1:]), dtype=np.int64)
    for tap in range(weights.shape[1]):
        total += weights[:, tap, None, None] * image[indices[:, tap]]
    return total, denominator


def _resize_rows(image: Image, scale: Fraction) -> Image:
    """Resize the rows of (H, W, 3) uint8; half is rounded up, as in MATLAB, the result clipped to 8 bit."""
    total, denominator = _sum_rows(image, scale)
    return _clip((2 * total + denominator) // (2 * denominator))


def _clip(values: NDArray[Any]) -> Image:
    clipped: Image = np.ascontiguousarray(np.clip(values, 0, 255).astype(np.uint8))
    return clipped


def bicubic(image: Image, scale: Fraction | int) -> Image:
    """MATLAB's `imresize(image, scale)`: bicubic, antialiased where it shrinks; (H, W, 3) uint8 in and out.

    The vertical pass comes first, and its result is rounded to 8 bit before the horizontal one. The scale is
    exact, `Fraction(1, 3)` rather than 0.333; the output has ceil(scale * H) rows.
    """
    ratio = Fraction(scale)
    rows = _resize_rows(image, ratio)
    return np.ascontiguousarray(_resize_rows(rows.transpose(1, 0, 2), ratio).transpose(1, 0, 2))


def crop_to_multiple(hr: Image, scale: int) -> Image:
    """The top left part of (H, W, 3) whose height and width are multiples of the scale."""
    height, width = (size - size % scale for size in hr.shape[:2])
    if not height or not width:
        raise SrqError(f"an image of {hr.shape[1]}x{hr.shape[0]} pixels is too small for x{scale}")
    return hr[:height, :width]


def downscale(hr: Image, scale: int) -> Image:
    """The benchmark's LR image of an HR image: MATLAB's bicubic at 1/scale; uint8 RGB in and out."""
    return bicubic(hr, Fraction(1, scale))


def upscale(lr: Image, scale: int) -> Image:
    """Bicubic enlargement with MATLAB's kernel, the bicubic row of SR tables; uint8 RGB in and out.

    It is rounded once, at the end and half to even, as the output of a network is. Rounding also between the
    passes, as `bicubic` does, costs 0.001 to 0.005 dB on Set5.
    """
    rows, first = _sum_rows(lr, Fraction(scale))
    total, second = _sum_rows(rows.transpose(1, 0, 2), Fraction(scale))
    return _clip(np.rint(total.transpose(1, 0, 2) / (first * second)))


def bilinear_upscale(lr: Image, scale: int) -> Image:
    """Bilinear enlargement as torch's (half-pixel centres, not antialiased), rounded; uint8 RGB in and out.

    2DQuant's tables call this row Bicubic. At x2 and x4 many values end in a half, and a rounding error moves them
    up or down: torch's own result depends on its number of threads (up to 0.0002 dB on Set5). So the arithmetic is
    written out here, in float64 on [0, 1], columns before rows.
    """
    values = lr / np.float64(255)
    for axis in (1, 0):
        near, far, share = _neighbours(lr.shape[axis], scale)
        share = share[:, None] if axis else share[:, None, None]
        values = values.take(near, axis) * (1 - share) + values.take(far, axis) * share
    return _clip(np.rint(values * 255))


def _neighbours(length: int, scale: int) -> tuple[Integers, Integers, NDArray[Any]]:
    """The two input indices around each of the `scale * length` output positions, and the second one's share."""
    position = np.maximum((np.arange(scale * length) + 0.5) / scale - 0.5, 0)
    near = position.astype(np.int64)
    return near, np.minimum(near + 1, length - 1), position - near
