"""Importing an image set: the user's files are checked against the registry and packed once, for every scale."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from ..data.datasets import Dataset, list_generated
from ..data.image_set import SCALES, ImportedSet, bytes_of, hr_store, is_imported, list_packed, lr_store
from ..data.images.formats import SUFFIXES
from ..data.lmdb import pack, write_lmdb
from ..data.pairs import list_pairs
from ..data.resize import downscale
from ..data.stores import open_store
from ..errors import SrqError
from ..storage.working_folder import working_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..data.images.pixels import Image
    from ..progress import Progress
    from .registry import ImageSet


DEPTH = 3
"""Depth of folders in which images are searched."""


def import_images(name: str, entry: ImageSet, source: Path, images: Path, report: Progress) -> list[str]:
    """Check and pack the set that lies in the folder `source` into `images/name`; say where its LR images came from.

    `source` or a folder below it holds the HR images; the folder is found by the names of its images. Folders `X2`,
    `X3`, `X4` of LR images are looked for in `LR_bicubic` (or a folder ending so) next to them; missing LR images are
    made. Raises SrqError if the set is not that of the registry; nothing is left then.
    """
    folder = images / name
    if is_imported(folder):
        raise SrqError(f"{name} is available already, in {folder}; remove that folder to import it again")
    hr = _hr_folder(name, entry, source)
    _check(name, entry, hr)
    with _new_folder(folder) as part:
        report(0, 1 + len(SCALES), "HR")
        write_lmdb(hr, hr_store(part))
        said, sha256 = [], {}
        for done, scale in enumerate(SCALES, start=1):
            report(done, 1 + len(SCALES), f"LR x{scale}")
            said.append(_pack_lr(hr, _lr_folder(source, hr, scale), scale, part))
            sha256[scale] = Dataset(name, scale, *list_packed(part, scale)).sha256
        ImportedSet(images=entry.count, sha256=sha256, bytes=bytes_of(part)).write(part)
    return said


def _pack_lr(hr: Path, given: Path | None, scale: int, part: Path) -> str:
    """Pack the LR images of one scale, given or made; say which, and whether given ones are MATLAB's bicubic."""
    images = open_store(hr, scale)
    if given is None:
        listing = list_generated(images, scale)
    else:
        listing = list_pairs(images, open_store(given, scale), scale, f"{hr} and {given}")
    dataset = Dataset(part.name, scale, *listing)
    place = {image: index for index, image in enumerate(listing.names)}
    differing = []

    def read(name: str) -> Image:
        pair = dataset[place[name]]
        if given is not None and not np.array_equal(pair.lr, downscale(pair.hr, scale)):
            differing.append(name)
        return pair.lr

    pack(lr_store(part, scale), dict(zip(listing.names, listing.lr_sizes, strict=True)), read)
    if given is None:
        return f"LR x{scale}: made"
    if differing:
        return f"LR x{scale}: as given; {len(differing)} of {len(dataset)} are not MATLAB's bicubic to the bit"
    return f"LR x{scale}: as given, all MATLAB's bicubic to the bit"


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """A folder that is moved to its place if the block ends well, and is removed otherwise."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with working_folder(folder.parent) as temporary:
            part = temporary / folder.name
            part.mkdir()
            yield part
            part.rename(folder)
    except OSError as error:
        raise SrqError(f"cannot write {folder}: {error.strerror or error}") from error


def _hr_folder(name: str, entry: ImageSet, source: Path) -> Path:
    """The folder of the HR images: its images have the names and sizes of the set; raises SrqError."""
    found = [folder for folder in _folders(source) if _image_names(folder)]
    named = [folder for folder in found if entry.has_names(_image_names(folder))]
    if len(named) > 1:  # LR images may have the same names
        named = [folder for folder in named if _is_set(name, entry, folder)] or named
    if not found:
        raise SrqError(f"{source}: no images in this folder, nor in one below it; expected those of {name}")
    return (named or found)[0]


def _folders(source: Path, depth: int = DEPTH) -> Iterator[Path]:
    """The folder, then those below it that are called HR or end in _HR, then all others."""
    yield source
    if depth and source.is_dir():
        below = [path for path in source.iterdir() if path.is_dir() and not path.name.startswith(".")]
        for folder in sorted(below, key=lambda path: (not f"_{path.name}".endswith("_HR"), path.name)):
            yield from _folders(folder, depth - 1)


def _image_names(folder: Path) -> list[str]:
    paths = folder.iterdir() if folder.is_dir() else ()
    return [path.stem for path in paths if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")]


def _is_set(name: str, entry: ImageSet, folder: Path) -> bool:
    try:
        _check(name, entry, folder)
    except SrqError:
        return False
    return True


def _check(name: str, entry: ImageSet, folder: Path) -> None:
    """Raise SrqError unless the names and sizes of the images in a folder are those of the set."""
    images = open_store(folder, scale=1)
    entry.check(name, {image: images.size(image) for image in images.names})


def _lr_folder(source: Path, hr: Path, scale: int) -> Path | None:
    """The folder of the LR images of a scale, if there is one, in the folder of the HR images or beside it."""
    places = [hr] if hr == source else [hr, hr.parent]
    found = [path for place in places for path in sorted(place.glob(f"*LR_bicubic/X{scale}")) if _image_names(path)]
    return found[0] if found else None
