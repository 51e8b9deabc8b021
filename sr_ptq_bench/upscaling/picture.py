"""A photo as people have it: its pixels, its transparency, its colour profile, resolution and EXIF data.

Pixels stay as they are stored, and the EXIF orientation stays beside them, so that a viewer turns the result as it
turned the photo. A TIFF is the exception: Pillow turns it when it reads it.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import PIL.Image

from ..data.images.formats import FORMATS
from ..data.images.header import MAX_PIXELS, is_deep, unreadable
from ..data.images.pixels import read_file
from ..errors import SrqError
from ..storage.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..data.images.pixels import Image

_GREY, _TRANSPARENT = ("1", "L", "LA"), ("LA", "RGBA", "PA")
_READ = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")
_SAVE: dict[str, dict[str, Any]] = {
    "PNG": {},
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"quality": 95, "method": 4},
    "TIFF": {},
}
LONGEST = {"WEBP": 16383, "JPEG": 65500}
"""The most pixels of a side that a format can hold, where results reach it."""
MOST_DPI = 2**16
"""What a JPEG can say."""
_JPEG_AND_MORE = "MPO"
"""What Pillow calls the JPEG of a camera or phone that has a preview or a depth map behind the photo."""
_ABOUT = (0x010E, 0x010F, 0x0110, 0x0112, 0x0131, 0x0132, 0x013B, 0x8298, 0x8769)
"""The tags of a TIFF that say what the photo is and who made it, not how its pixels lie."""
_EXIF_IFD, _WIDTH, _HEIGHT = 0x8769, 0xA002, 0xA003


@dataclass(frozen=True, eq=False)
class Picture:
    """(H, W, 3) uint8 RGB pixels, (H, W) uint8 alpha or None, and what is written beside them."""

    rgb: Image
    alpha: Image | None
    is_grey: bool
    format: str
    profile: bytes | None
    exif: PIL.Image.Exif
    dpi: tuple[float, float] | None = None
    """Pixels per inch, across and down."""

    @classmethod
    def read(cls, path: Path) -> Picture:
        """Read an 8-bit photo: RGB, grey, 1-bit or palette, with or without alpha; raises SrqError for others."""
        with _opened(path) as image:
            image.load()
            return cls._of(image)

    @classmethod
    def _of(cls, image: PIL.Image.Image) -> Picture:
        has_alpha = image.mode in _TRANSPARENT or "transparency" in image.info
        rgba = np.asarray(image.convert("RGBA"))
        exif = PIL.Image.Exif()
        with suppress(Exception):  # what a camera or an editor has broken is not carried on
            exif = image.getexif()
        return cls(
            rgba[..., :3].copy(),  # torch warns of pixels that cannot be written
            rgba[..., 3].copy() if has_alpha else None,
            image.mode in _GREY,
            _format_of(image),
            image.info.get("icc_profile"),
            exif,
            _dpi_of(image),
        )

    def with_pixels(self, rgb: Image, alpha: Image | None) -> Picture:
        """Other pixels with the same profile, resolution and EXIF data."""
        return replace(self, rgb=rgb, alpha=alpha)

    def write(self, path: Path) -> None:
        """Write the picture in its format; raises SrqError if the system or the format refuses."""
        image = PIL.Image.fromarray(self.rgb)
        if self.is_grey:
            image = image.convert("L")
        if self.alpha is not None:
            image.putalpha(PIL.Image.fromarray(self.alpha))
        options = dict(_SAVE[self.format])
        if self.profile:
            options["icc_profile"] = self.profile
        if self.dpi:
            options["dpi"] = self.dpi
        out = BytesIO()
        try:
            image.save(out, self.format, exif=self._resized_exif(), **options)
        except (OSError, ValueError, KeyError) as error:
            raise SrqError(f"{path}: {self.format} cannot hold this picture: {error}") from error
        write_atomically(path, out.getvalue())

    def _resized_exif(self) -> bytes:
        """The EXIF data with the new size, without a thumbnail; none where they cannot be written again."""
        height, width = self.rgb.shape[:2]
        try:
            for tag in set(self.exif) - set(_ABOUT) if self.format == "TIFF" else ():
                del self.exif[tag]
            inner = self.exif.get_ifd(_EXIF_IFD)
            for tag, length in ((_WIDTH, width), (_HEIGHT, height)):
                if tag in inner:
                    inner[tag] = length
            return self.exif.tobytes() if len(self.exif) else b""
        except Exception:  # as for reading
            return b""


class Header(NamedTuple):
    """What a file says before its pixels are read; `format` is that of the result."""

    format: str
    height: int
    width: int

    @classmethod
    def read(cls, path: Path) -> Header:
        """Raises SrqError if it says that `Picture.read` refuses the file."""
        with _opened(path) as image:
            return cls(_format_of(image), image.height, image.width)


def _format_of(image: PIL.Image.Image) -> str:
    if image.format == _JPEG_AND_MORE:
        return "JPEG"
    return image.format if image.format in _SAVE else "PNG"


def _dpi_of(image: PIL.Image.Image) -> tuple[float, float] | None:
    with suppress(Exception):  # as for EXIF data
        across, down = map(float, image.info["dpi"])
        return (across, down) if 1 <= across < MOST_DPI and 1 <= down < MOST_DPI else None
    return None


@contextmanager
def _opened(path: Path) -> Iterator[PIL.Image.Image]:
    data = read_file(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with PIL.Image.open(BytesIO(data), formats=FORMATS) as image:
                _check(image, path)
                yield image
        except SrqError:
            raise
        except Exception as error:  # a damaged file makes Pillow raise nearly anything
            raise unreadable(str(path), error, data[:32]) from error


def _check(image: PIL.Image.Image, path: Path) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise SrqError(f"{path}: more than {MAX_PIXELS} pixels; cut it into smaller images")
    stored = [tile[3] for tile in getattr(image, "tile", ())]
    deep = is_deep(image) or (
        image.format == "PPM" and any(isinstance(form, tuple) and form[1] > 255 for form in stored)
    )
    if image.mode not in _READ or deep:
        raise SrqError(f"{path}: an image of mode {image.mode}{', 16 bit' * deep}; expected 8-bit RGB, grey or palette")
    frames = getattr(image, "n_frames", 1) if image.format != _JPEG_AND_MORE else 1
    if frames > 1:
        raise SrqError(f"{path}: holds {frames} images; expected one")
