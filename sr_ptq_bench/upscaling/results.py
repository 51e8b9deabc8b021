"""Where the results of photos go."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ..data.images.formats import NOT_READ, SUFFIXES
from ..errors import SrqError
from .picture import Header

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SUFFIXES = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".jif"),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
}


COMPARISON = "-compare"
"""What the name of a side-by-side has behind the photo's."""


def results_of(photo: Path, written_as: str, out: Path, compare: bool) -> dict[str, Path]:
    """The file of the result, and with `compare` that of the side-by-side, by what they have behind the photo's name.

    They have the photo's name; its suffix only where that is one of the format in which they are written.
    """
    suffixes = _SUFFIXES[written_as]
    suffix = photo.suffix if photo.suffix.lower() in suffixes else suffixes[0]
    stem = photo.stem if photo.suffix.lower() in {*SUFFIXES, *NOT_READ} else photo.name
    return {added: out / f"{stem}{added}{suffix}" for added in ("", COMPARISON)[: 1 + compare]}


def check_kept(results: Mapping[str, Path], photo: Header, scale: int) -> None:
    """Raise SrqError for an image that is there already and is not `scale` times the photo."""
    sides = {scale * photo.height, scale * photo.width}
    for added, path in results.items():
        size = _size(path)
        if size and (size[0] not in sides or (added != COMPARISON and {*size} != sides)):
            there = f"{size[1]}x{size[0]} pixels"
            raise SrqError(f"{path} has {there}, not x{scale} of its photo; choose another -o, or --force")


def _size(path: Path) -> tuple[int, int] | None:
    """Height and width of an image; None if there is none, or it is not one."""
    with suppress(SrqError):
        there = Header.read(path)
        return there.height, there.width
    return None


def check_free(wanted: Mapping[Path, Mapping[str, Path]], force: bool) -> None:
    """Raise SrqError where two photos have one result, a result is a photo, or, without `force`, exists."""
    seen: dict[Path, Path] = {}
    for photo, results in wanted.items():
        for path in results.values():
            if path in seen:
                raise SrqError(
                    f"{seen[path]} and {photo} would both become {path}; upscale them into folders of their own"
                )
            if path.exists() and (not force or any(path.samefile(other) for other in wanted)):
                raise SrqError(f"{path} exists; choose another -o{'' if force else ', or --force to replace it'}")
            seen[path] = photo
