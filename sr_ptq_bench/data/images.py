"""Reading and writing of single images; whatever is not plain 8-bit RGB or grey is refused by its header.

Pillow reads the header and proves the file whole; OpenCV decodes the pixels, because BasicSR does and JPEG
decoders differ from each other. Texts, colour profiles and broken metadata decide nothing.
"""

from __future__ import annotations

import unicodedata
import warnings
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import SrqError
from ..storage.files import read_whole, too_large, write_atomically
from .metadata import has_metadata, without_metadata

if TYPE_CHECKING:
    from typing import BinaryIO

    from PIL.ImageFile import ImageFile

Image = NDArray[np.uint8]
Integers = NDArray[np.int64]

SUFFIXES = tuple(
    ".png .jpg .jpeg .jpe .jfif .jif .bmp .dib .tif .tiff .webp .ppm .pgm .pnm".split()  # noqa: SIM905
)
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "PPM")
NOT_READ = frozenset(
    ".apng .arw .avif .cr2 .cr3 .dds .dng .exr .fit .fits .gif .hdr .heic .heif .hif .ico .j2c .j2k .jfi .jls .jp2 "  # noqa: SIM905
    ".jpc .jpf .jpg2 .jpm .jpx .jxl .jxr .mpo .nef .orf .pam .pbm .pcx .pfm .psd .qoi .raf .ras .rw2 .sgi .svg .tga "
    ".wdp .xcf".split()
)
"""How files end that hold images of other formats."""
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
_UPRIGHT = 1
_IMAGE_KINDS = ("PNG", "JPEG", "GIF", "WebP", "TIFF", "JPEG 2000", "JPEG XL", "Photoshop", "OpenEXR", "Radiance HDR")
_PPM_OF_8_BIT = ("RGB", "L", ("RGB", 255), ("L", 255))
_SIDEWAYS = range(5, 9)
_SIGNATURES = {
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF8": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"\0\0\0\x0cjP": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\0\0\0\x0cJXL": "JPEG XL",
    b"\xff\x0a": "JPEG XL",
    b"8BPS": "Photoshop",
    b"v/1\x01": "OpenEXR",
    b"#?RADIANCE": "Radiance HDR",
    b"<svg": "SVG",
    b"<!DOCTYPE": "HTML",
    b"<html": "HTML",
    b"%PDF": "PDF",
    b"PK\x03\x04": "zip",
    b"\x93NUMPY": "NumPy",
    b"version https://git-lfs": "Git LFS (a pointer, not the file: run `git lfs pull`)",
}


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


def read_file(path: Path) -> bytes:
    """The bytes of an image file, unless they are more than an image has; raises SrqError."""
    try:
        return read_whole(path, LARGEST_FILE)
    except OSError as error:
        raise _unreadable(str(path), error) from error


def check_image(path: Path) -> Size:
    """The size of an image by its header; raises SrqError if `read_image` would refuse that header."""
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
    return decode(read_file(path), str(path))


def check_bytes(source: Path | bytes, name: str) -> Size:
    """Like `check_image`, for the (first) bytes of an image file; `name` is what an error calls it."""
    return _inspect(source, name, whole=False).size


def verify(source: Path | bytes, name: str) -> Size:
    """Like `check_bytes`, for the whole file: raises SrqError as well where it is truncated or damaged."""
    return _inspect(source, name, whole=True).size


def decode(data: bytes, name: str) -> Image:
    """Decode the bytes of an image file as `read_image` does; `name` is what an error calls it."""
    import cv2

    header = _inspect(data, name, whole=True)
    content = without_metadata(BytesIO(data)) if has_metadata(data) else data
    try:
        # OpenCV turns by any value that stands where an orientation may be; here a valid one turns.
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise _unreadable(name, error) from error
    upright = None if pixels is None or pixels.ndim != 3 else turned(pixels, header.orientation)
    if upright is None or upright.dtype != np.uint8 or upright.shape != (*header.size, 3):
        raise SrqError(f"{name}: OpenCV does not decode its {header.size} pixels; save it as an 8-bit RGB PNG")
    return np.ascontiguousarray(upright[:, :, ::-1])


def turned(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """(H, W, 3) pixels upright, given their EXIF orientation, 1 to 8."""
    if orientation in _SIDEWAYS:
        pixels = pixels.transpose(1, 0, 2)
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return pixels[::rows, ::columns]


def portable(data: bytes, name: str) -> bytes:
    """The bytes of an image file that every decoder reads as `decode` does: as they are, or as a PNG."""
    header = _inspect(data, name, whole=True)
    if has_metadata(data) and header.orientation == _UPRIGHT:
        return without_metadata(BytesIO(data))
    return encode_png(decode(data, name), level=0) if header.has_exif else data


class _Header(NamedTuple):
    """What is known of an image before its pixels; the size is that of the upright image."""

    size: Size
    orientation: int
    has_exif: bool


def _inspect(source: Path | bytes, name: str, *, whole: bool) -> _Header:
    import PIL.Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks on metadata
        warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
        start = b""
        try:
            if (len(source) if isinstance(source, bytes) else source.stat().st_size) > LARGEST_FILE:
                raise too_large(name, LARGEST_FILE)
            with BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
                start = file.read(32)
                file.seek(0)
                content = _for_pillow(file, start, whole)
                with PIL.Image.open(content, formats=FORMATS) as image:
                    header = _accept(image, name)
                    if whole:
                        image.load()
                    return header
        except SrqError:
            raise
        except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning) as error:
            raise SrqError(f"{name}: more than {MAX_PIXELS} pixels; cut it into smaller images") from error
        except Exception as error:  # a damaged file makes Pillow raise nearly anything
            raise _unreadable(name, error, start) from error


def _for_pillow(file: BinaryIO, start: bytes, whole: bool) -> BinaryIO:
    """The file as Pillow gets it, which gives up on some texts and profiles that have nothing to do with the pixels."""
    return BytesIO(without_metadata(file, whole, keep_exif=True)) if has_metadata(start) else file


def _unreadable(name: str, error: Exception, start: bytes = b"") -> SrqError:
    if isinstance(error, OSError) and error.errno:
        return SrqError(f"{name}: cannot be read ({error.strerror}); check the path and its permissions")
    kind = kind_of(start)
    if kind is not None and kind.upper() not in FORMATS:
        return SrqError(f"{name}: not an image that srq reads but {kind}; save it as an 8-bit RGB PNG")
    reason = " ".join(str(error).split()) or type(error).__name__
    if "cannot identify image file" in reason:
        reason = f"no {kind} that Pillow can read" if kind else "no known format"
    return SrqError(f"{name}: not an image or damaged ({reason}); expected a whole {', '.join(FORMATS)}")


def kind_of(start: bytes) -> str | None:
    """The format of a file by its first bytes; None for one that has no signature here."""
    if start.startswith(b"RIFF"):  # as sounds and films do
        return "WebP" if start[8:12] == b"WEBP" else None
    return next((kind for signature, kind in _SIGNATURES.items() if start.startswith(signature)), None)


def _accept(image: ImageFile, name: str) -> _Header:
    """What the header of an opened image says, where the image is one that is read."""
    size = Size(image.height, image.width)
    if image.width * image.height > MAX_PIXELS:
        raise SrqError(f"{name}: {size} is more than {MAX_PIXELS} pixels; cut it into smaller images")
    kind = _refused(image)
    if kind is not None:
        raise SrqError(f"{name}: {kind}; expected 8-bit RGB or grey, so convert it first")
    orientation = _orientation(image)
    upright = Size(image.width, image.height) if orientation in _SIDEWAYS else size
    return _Header(upright, orientation, "exif" in image.info)


def _refused(image: ImageFile) -> str | None:
    """What an image is that is neither 8-bit RGB nor 8-bit grey; the mode alone does not tell."""
    raw = " ".join(str(tile[3]) for tile in image.tile)  # how samples are stored, such as RGB;16B
    if ";16" in raw or image.mode.startswith("I;16"):
        return "a 16-bit image"
    if image.mode not in ("L", "RGB"):
        return _KINDS.get(image.mode, f"an image of mode {image.mode}")
    if image.mode == "L" and (";2" in raw or ";4" in raw):
        return "a grey image of less than 8 bit"
    if image.format == "PPM" and image.tile and image.tile[0][3] not in _PPM_OF_8_BIT:
        return "an image whose largest value is not 255"
    return "an image with a transparent colour" if "transparency" in image.info else None


def _orientation(image: ImageFile) -> int:
    """The EXIF orientation, 1 (upright) unless it is an integer from 1 to 8 in EXIF data that can be read.

    Pillow and OpenCV turn a TIFF file by themselves. `getexif()` would decode the whole of a PNG to look for it.
    """
    import PIL.Image

    exif = PIL.Image.Exif()
    try:
        exif.load(image.info.get("exif", b""))
        value = exif.get(_EXIF_ORIENTATION, _UPRIGHT)
    except Exception:  # what a camera or an editor has broken says nothing of the pixels
        return _UPRIGHT
    return value if type(value) is int and value in range(1, 9) else _UPRIGHT


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
    """The image files of a folder by name, hidden ones left out.

    Raises SrqError if there is none, or where an image is of a format that is not read: none is left out silently.
    """
    try:
        files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        images = [path for path in files if path.suffix.lower() in SUFFIXES]
        others = [path for path in files if path.suffix.lower() not in SUFFIXES and _holds_image(path)]
    except OSError as error:
        raise SrqError(f"{folder}: cannot be read ({error.strerror}); expected a folder of images") from error
    if others:
        named = ", ".join(path.name for path in others[:5]) + ", ..." * (len(others) > 5)
        raise SrqError(f"{folder}: images that srq does not read: {named}; save them as PNG, or move them elsewhere")
    if not images:
        raise SrqError(f"{folder}: no images in this folder; expected {', '.join(SUFFIXES)}")
    return images


def _holds_image(path: Path) -> bool:
    """Whether a file that does not end as an image should is one all the same, by its name or its first bytes."""
    if path.is_file() and path.suffix.lower() not in NOT_READ:
        with suppress(OSError), path.open("rb") as file:
            return kind_of(file.read(12)) in _IMAGE_KINDS
    return path.is_file()


def name_of(path: Path) -> str:
    """The name of an image: its file's without the suffix, with accents as one character each (NFC) on every system."""
    return unicodedata.normalize("NFC", path.stem)
