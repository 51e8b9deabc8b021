"""The photos that a user names, and the files that are to be made of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..data.images.folder import list_images
from ..errors import SrqError
from ..storage.files import entries
from .picture import Header
from .results import check_free, check_kept, results_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ..progress import Say
    from ..protocol.types import Scale


def headers_of(photos: Sequence[Path], note: Say) -> dict[Path, Header]:
    """The images that are named, and those of the folders, with their headers; raises SrqError before any work.

    `note` tells which folders within are not searched.
    """
    files = [file for photo in photos for file in (_images(photo, note) if photo.is_dir() else [photo])]
    for file in files:
        if not file.is_file():
            what = "not a file" if os.path.lexists(file) else "no such file"
            raise SrqError(f"{file}: {what}; expected an image or a folder of images")
    return {file: Header.read(file) for file in files}


def _images(folder: Path, note: Say) -> list[Path]:
    """The images of a folder; says that folders within are not searched."""
    inner = [path.name for path in entries(folder) if path.is_dir() and not path.name.startswith(".")]
    said = f"folders within are not searched ({', '.join(inner[:3])}{', ...' * (len(inner) > 3)}); name them too"
    try:
        images = list_images(folder)
    except SrqError as error:
        raise SrqError(f"{error}; {said}") if inner else error from error
    if inner:
        note(f"{folder}: {said}")
    return images


def wanted_of(
    photos: Mapping[Path, Header], out: Path, compare: bool, force: bool, kept: Scale | None
) -> dict[Path, dict[str, Path]]:
    """The files to write of each photo that is to be upscaled; raises SrqError where one would be overwritten.

    Those that are there are kept if they are of the scale `kept`; without one they are in the way.
    """
    wanted = {photo: results_of(photo, header.format, out, compare) for photo, header in photos.items()}
    check_free(wanted, force or kept is not None)
    if kept:
        for photo, files in wanted.items():
            check_kept(files, photos[photo], kept)
        wanted = {
            photo: {of: path for of, path in files.items() if not path.exists()} for photo, files in wanted.items()
        }
    return {photo: files for photo, files in wanted.items() if files}
