"""Reading and writing of single images; whatever is not plain 8-bit RGB or grey is refused by its header.

Pillow reads the header and proves the file whole; OpenCV decodes the pixels, because BasicSR does and JPEG
decoders differ from each other.
"""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import SrqError
from ..storage.files import read_whole, too_large, write_atomically

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

Image = NDArray[np.uint8]
Integers = NDArray[np.int64]

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
MAX_PIXELS = 2**26
LARGEST_FILE = 2**28
"""Bytes of an image file: more than MAX_PIXELS take in any of the formats."""

_KINDS = {
    "1": "a 1-bit image",
    "P": "a palette image",
    "LA": "a grey image with alpha",
    "PA": "a palette image with alpha",
    "RGBA": "an RGB image with alpha",
    "CMYK": "a CMYK image",
    "I": "a 32-bit grey image",
    "F": "a floating-point image",
}
_EXIF_ORIENTATION = 0x0112
_SIDEWAYS = range(5, 9)


class Size(NamedTuple):
    """Height and width of an image in pixels."""

    height: int
    width: int

    def __str__(self) -> str:
        """Width first, as people say it."""
        return f"{self.width}x{self.height}"


def size_of(image: Image) -> Size:
    """The size of a (H, W, 3) array."""
    return Size(*image.shape[:2])


def check_image(path: Path) -> Size:
    """The size of an image by its header; raises SrqError where `read_image` would refuse that header."""
    try:
        missing = not path.exists()
        regular = path.is_file()
    except OSError as error:
        raise _unreadable(str(path), error) from error
    if not regular:
        raise SrqError(f"{path}: {'no such file' if missing else 'not a file'}; expected an image")
    return check_bytes(path, str(path))


def read_image(path: Path) -> Image:
    """Read an 8-bit RGB or grey image as (H, W, 3) uint8 RGB; raises SrqError for anything else."""
    check_image(path)
    try:
        data = read_whole(path, LARGEST_FILE)
    except OSError as error:
        raise _unreadable(str(path), error) from error
    return decode(data, str(path))


def check_bytes(source: Path | bytes, name: str) -> Size:
    """Like `check_image`, for the (first) bytes of an image file; `name` is what an error calls it."""
    return _inspect(source, name, whole=False)


def verify(source: Path | bytes, name: str) -> Size:
    """Like `check_bytes`, for the whole file: raises SrqError as well where it is truncated or damaged."""
    return _inspect(source, name, whole=True)


def decode(data: bytes, name: str) -> Image:
    """Decode the bytes of an image file as `read_image` does; `name` is what an error calls it."""
    import cv2

    size = verify(data, name)
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise _unreadable(name, error) from error
    if pixels is None or pixels.dtype != np.uint8 or pixels.shape != (*size, 3):
        raise SrqError(f"{name}: OpenCV does not decode its {size} pixels; save it as an 8-bit RGB PNG")
    return np.ascontiguousarray(pixels[:, :, ::-1])


def _inspect(source: Path | bytes, name: str, *, whole: bool) -> Size:
    import PIL.Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks on metadata
        warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
        try:
            if (len(source) if isinstance(source, bytes) else source.stat().st_size) > LARGEST_FILE:
                raise too_large(name, LARGEST_FILE)
            file = BytesIO(source) if isinstance(source, bytes) else source
            with PIL.Image.open(file, formats=FORMATS) as image:
                size = _accept(image, name)
                if whole:
                    image.load()
                return size
        except SrqError:
            raise
        except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning) as error:
            raise SrqError(f"{name}: more than {MAX_PIXELS} pixels; cut it into smaller images") from error
        except Exception as error:  # a damaged file makes Pillow raise nearly anything
            raise _unreadable(name, error) from error


def _unreadable(name: str, error: Exception) -> SrqError:
    if isinstance(error, OSError) and error.errno:
        return SrqError(f"{name}: cannot be read ({error.strerror}); check the path and its permissions")
    reason = " ".join(str(error).split()) or type(error).__name__
    return SrqError(f"{name}: not an image or damaged ({reason}); expected a whole {', '.join(FORMATS)}")


def _accept(image: ImageFile, name: str) -> Size:
    """The size of an opened image as OpenCV decodes it, which is turned upright by its EXIF tag."""
    if image.width * image.height > MAX_PIXELS:
        size = Size(image.height, image.width)
        raise SrqError(f"{name}: {size} is more than {MAX_PIXELS} pixels; cut it into smaller images")
    kind = _refused(image)
    if kind is not None:
        raise SrqError(f"{name}: {kind}; expected 8-bit RGB or grey, so convert it first")
    sideways = _orientation(image) in _SIDEWAYS
    return Size(image.width, image.height) if sideways else Size(image.height, image.width)


def _refused(image: ImageFile) -> str | None:
    """What an image is that is neither 8-bit RGB nor 8-bit grey; the mode alone does not tell."""
    raw = " ".join(str(tile[3]) for tile in image.tile)  # how samples are stored, such as RGB;16B
    if ";16" in raw or image.mode.startswith("I;16"):
        return "a 16-bit image"
    if image.mode not in ("L", "RGB"):
        return _KINDS.get(image.mode, f"an image of mode {image.mode}")
    if image.mode == "L" and (";2" in raw or ";4" in raw):
        return "a grey image of less than 8 bit"
    return "an image with a transparent colour" if "transparency" in image.info else None


def _orientation(image: ImageFile) -> int:
    """The EXIF orientation (1 is upright); `getexif()` would decode the whole of a PNG to look for it."""
    import PIL.Image

    exif = PIL.Image.Exif()
    exif.load(image.info.get("exif", b""))
    return int(exif.get(_EXIF_ORIENTATION, 1))


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


def list_images(folder: Path) -> list[Path]:
    """The image files of a folder by name, hidden ones left out; raises SrqError where there is none."""
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        raise SrqError(f"{folder}: cannot be read ({error.strerror}); expected a folder of images") from error
    images = [path for path in files if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")]
    if not images:
        raise SrqError(f"{folder}: no images in this folder; expected {', '.join(SUFFIXES)}")
    return images
