"""The pixels of an image file, decoded and encoded by OpenCV."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import SrqError
from ...storage.files import read_whole, write_atomically
from ..metadata import has_metadata, without_metadata
from .header import LARGEST_FILE, SIDEWAYS, UPRIGHT, Size, check_image, inspect, unreadable

Image = NDArray[np.uint8]

Integers = NDArray[np.int64]


def size_of(image: Image) -> Size:
    """The size of a (H, W, 3) array."""
    return Size(*image.shape[:2])


def read_file(path: Path) -> bytes:
    """The bytes of an image file; raises SrqError if there are more than LARGEST_FILE."""
    try:
        return read_whole(path, LARGEST_FILE)
    except OSError as error:
        raise unreadable(str(path), error) from error


def read_image(path: Path) -> Image:
    """Read an 8-bit RGB or grey image as (H, W, 3) uint8 RGB; raises SrqError for anything else."""
    check_image(path)
    return decode(read_file(path), str(path))


def decode(data: bytes, name: str) -> Image:
    """Decode the bytes of an image file as `read_image` does; `name` is what an error calls it."""
    import cv2

    header = inspect(data, name, whole=True)
    content = without_metadata(BytesIO(data)) if has_metadata(data) else data
    try:
        # OpenCV applies any value in the place of an orientation; here only a valid one is applied.
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise unreadable(name, error) from error
    upright = None if pixels is None or pixels.ndim != 3 else turned(pixels, header.orientation)
    if upright is None or upright.dtype != np.uint8 or upright.shape != (*header.size, 3):
        raise SrqError(f"{name}: OpenCV does not decode its {header.size} pixels; save it as an 8-bit RGB PNG")
    return np.ascontiguousarray(upright[:, :, ::-1])


def turned(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """(H, W, 3) pixels upright, given their EXIF orientation, 1 to 8."""
    if orientation in SIDEWAYS:
        pixels = pixels.transpose(1, 0, 2)
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return pixels[::rows, ::columns]


def portable(data: bytes, name: str) -> bytes:
    """The bytes of an image file that every decoder reads as `decode` does: as they are, or as a PNG."""
    header = inspect(data, name, whole=True)
    if has_metadata(data) and header.orientation == UPRIGHT:
        return without_metadata(BytesIO(data))
    return encode_png(decode(data, name), level=0) if header.has_exif else data


def encode_png(image: Image, level: int = 3) -> bytes:
    """The bytes of a PNG file, compressed at this level (0 to 9), that holds a (H, W, 3) uint8 RGB image."""
    import cv2

    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"expected (H, W, 3) uint8, got {image.shape} {image.dtype}")
    bgr = np.ascontiguousarray(image[:, :, ::-1])
    _, data = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, level])
    return bytes(data)


def write_image(path: Path, image: Image) -> None:
    """Write a (H, W, 3) uint8 RGB image as PNG; the file is there as a whole or not at all."""
    if path.suffix.lower() != ".png":
        raise SrqError(f"{path}: images are written as PNG; name the file {path.with_suffix('.png').name}")
    write_atomically(path, encode_png(image))
