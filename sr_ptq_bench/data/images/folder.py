"""The image files of a folder, and their names."""

from __future__ import annotations

import unicodedata
from contextlib import suppress
from pathlib import Path

from ...errors import SrqError
from .formats import IMAGE_KINDS, NOT_READ, SUFFIXES, kind_of


def list_images(folder: Path) -> list[Path]:
    """The image files of a folder by name, without hidden files.

    Raises SrqError if there is none, or if an image has a format that is not read: no image is left out silently.
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
    """Whether a file is an image, by its suffix or its first bytes, though its suffix is not one of SUFFIXES."""
    if path.is_file() and path.suffix.lower() not in NOT_READ:
        with suppress(OSError), path.open("rb") as file:
            return kind_of(file.read(12)) in IMAGE_KINDS
    return path.is_file()


def name_of(path: Path) -> str:
    """The name of an image: its file's name without suffix, with each accented letter as one character (NFC)."""
    return unicodedata.normalize("NFC", path.stem)
