"""The header of an image file, read by Pillow: size, orientation, and reasons to refuse the image."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ...errors import SrqError
from ...storage.files import too_large
from ..metadata import has_metadata, without_metadata
from .formats import FORMATS, kind_of

if TYPE_CHECKING:
    from typing import BinaryIO

    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

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

UPRIGHT = 1

_TIFF_SAMPLE_FORMAT = 0x0153

_SIGNED = 2

_PPM_OF_8_BIT = ("RGB", "L", ("RGB", 255), ("L", 255))

SIDEWAYS = range(5, 9)


class Size(NamedTuple):
    """Height and width of an image in pixels."""

    height: int
    width: int

    def __str__(self) -> str:
        """Width first, as people say it."""
        return f"{self.width}x{self.height}"


def check_image(path: Path) -> Size:
    """The size of an image by its header; raises SrqError if `read_image` would refuse that header."""
    try:
        missing = not path.exists()
        regular = path.is_file()
    except OSError as error:
        raise unreadable(str(path), error) from error
    if not regular:
        raise SrqError(f"{path}: {'no such file' if missing else 'not a file'}; expected an image")
    return check_bytes(path, str(path))


def check_bytes(source: Path | bytes, name: str) -> Size:
    """Like `check_image`, for the (first) bytes of an image file; `name` is what an error calls it."""
    return inspect(source, name, whole=False).size


def verify(source: Path | bytes, name: str) -> Size:
    """Like `check_bytes`, for the whole file: raises SrqError as well where it is truncated or damaged."""
    return inspect(source, name, whole=True).size


class _Header(NamedTuple):
    """What is known of an image before its pixels; the size is that of the upright image."""

    size: Size
    orientation: int
    has_exif: bool


def inspect(source: Path | bytes, name: str, *, whole: bool) -> _Header:
    """The header of an image file, or its bytes; `whole` proves the whole file. Raises SrqError for a refused one."""
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
            raise unreadable(name, error, start) from error


def _for_pillow(file: BinaryIO, start: bytes, whole: bool) -> BinaryIO:
    """The file as Pillow gets it, which gives up on some texts and profiles that have nothing to do with the pixels."""
    return BytesIO(without_metadata(file, whole, for_pillow=True)) if has_metadata(start) else file


def unreadable(name: str, error: Exception, start: bytes = b"") -> SrqError:
    """The error for a file that cannot be read or is not an image; `start` is its first bytes."""
    if isinstance(error, OSError) and error.errno:
        return SrqError(f"{name}: cannot be read ({error.strerror}); check the path and its permissions")
    kind = kind_of(start)
    if kind is not None and kind.upper() not in FORMATS:
        return SrqError(f"{name}: not an image that srq reads but {kind}; save it as an 8-bit RGB PNG")
    reason = " ".join(str(error).split()) or type(error).__name__
    if "cannot identify image file" in reason:
        reason = f"no {kind} that Pillow can read" if kind else "no known format"
    return SrqError(f"{name}: not an image or damaged ({reason}); expected a whole {', '.join(FORMATS)}")


def _accept(image: ImageFile, name: str) -> _Header:
    """What the header of an opened image says, where the image is one that is read."""
    size = Size(image.height, image.width)
    if image.width * image.height > MAX_PIXELS:
        raise SrqError(f"{name}: {size} is more than {MAX_PIXELS} pixels; cut it into smaller images")
    if getattr(image, "is_animated", False) or _is_followed(image):
        raise SrqError(f"{name}: a file of several images; save the one that you mean as PNG")
    kind = _refused(image)
    if kind is not None:
        raise SrqError(f"{name}: {kind}; expected 8-bit RGB or grey, so convert it first")
    orientation = _orientation(image)
    upright = Size(image.width, image.height) if orientation in SIDEWAYS else size
    return _Header(upright, orientation, "exif" in image.info)


def _refused(image: ImageFile) -> str | None:
    """What an image is that is neither 8-bit RGB nor 8-bit grey; the mode alone does not tell."""
    raw = _stored(image)
    if is_deep(image):
        return "a 16-bit image"
    if image.mode not in ("L", "RGB"):
        return _KINDS.get(image.mode, f"an image of mode {image.mode}")
    if image.mode == "L" and (";2" in raw or ";4" in raw):
        return "a grey image of less than 8 bit"
    if image.format == "PPM" and image.tile and image.tile[0][3] not in _PPM_OF_8_BIT:
        return "an image whose largest value is not 255"
    if image.format == "TIFF" and _SIGNED in image.tag_v2.get(_TIFF_SAMPLE_FORMAT, ()):  # type: ignore[attr-defined]
        return "an image of signed numbers"
    return "an image with a transparent colour" if "transparency" in image.info else None


def _is_followed(image: ImageFile) -> bool:
    """Whether another image follows the first in a binary PPM file."""
    if image.format != "PPM" or image.tile[0][0] != "raw" or image.fp is None:
        return False
    image.fp.seek(image.tile[0][2] + image.width * image.height * len(image.getbands()))
    return image.fp.read(64).lstrip()[:2] in (b"P5", b"P6")


def is_whole_png(path: Path) -> bool:
    """Whether a PNG is there and has its checksums right; its pixels are not decoded."""
    import PIL.Image

    try:
        with PIL.Image.open(path, formats=("PNG",)) as image:
            image.verify()
    except Exception:  # a damaged file makes Pillow raise nearly anything
        return False
    return True


def is_deep(image: Image) -> bool:
    """Whether an opened image has 16 bit for a colour, or for all three of a BMP."""
    raw = _stored(image)
    return ";15" in raw or ";16" in raw or image.mode.startswith("I;16")


def _stored(image: Image) -> str:
    """How samples are stored, such as RGB;16B."""
    return " ".join(str(tile[3]) for tile in getattr(image, "tile", ()))


def _orientation(image: ImageFile) -> int:
    """The EXIF orientation, 1 (upright) unless it is an integer from 1 to 8 in EXIF data that can be read.

    Pillow and OpenCV turn a TIFF file by themselves. `getexif()` would decode the whole of a PNG to look for it.
    """
    import PIL.Image

    exif = PIL.Image.Exif()
    try:
        exif.load(image.info.get("exif", b""))
        value = exif.get(_EXIF_ORIENTATION, UPRIGHT)
    except Exception:  # what a camera or an editor has broken says nothing of the pixels
        return UPRIGHT
    return value if type(value) is int and value in range(1, 9) else UPRIGHT
