"""Putting an image set at hand: the user's files are checked against the registry and packed once, for every scale."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from ..data.datasets import Dataset, list_generated
from ..data.folders import by_stem, list_folders, list_lmdbs
from ..data.image_set import SCALES, ImportedSet, bytes_of, hr_store, is_imported, lr_store
from ..data.images import SUFFIXES, check_image, list_images
from ..data.lmdb import pack, write_lmdb
from ..data.resize import downscale
from ..errors import SrqError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..data.images import Image
    from ..progress import Progress
    from .registry import ImageSet


def import_images(name: str, entry: ImageSet, source: Path, images: Path, report: Progress) -> list[str]:
    """Check and pack the set that lies in the folder `source` into `images/name`; say where its LR images came from.

    `source` holds the HR images, or a folder `HR` (or ending in `_HR`) and, if there are any, folders `X2`, `X3`, `X4`
    of LR images in `LR_bicubic` (or a folder ending so). Missing LR images are made. Raises SrqError for a set that is
    not the registry's; nothing is left then.
    """
    folder = images / name
    if is_imported(folder):
        raise SrqError(f"{name} is at hand already, in {folder}; remove that folder to import it anew")
    hr = _hr_folder(source)
    entry.check(name, {stem: check_image(path) for stem, path in by_stem(list_images(hr)).items()})
    with _new_folder(folder) as part:
        report(0, 1 + len(SCALES), "HR")
        write_lmdb(hr, hr_store(part))
        said, sha256 = [], {}
        for done, scale in enumerate(SCALES, start=1):
            report(done, 1 + len(SCALES), f"LR x{scale}")
            said.append(_pack_lr(hr, _lr_folder(source, scale), scale, part))
            sha256[scale] = Dataset(name, scale, *list_lmdbs(hr_store(part), lr_store(part, scale), scale)).sha256
        ImportedSet(images=entry.count, sha256=sha256, bytes=bytes_of(part)).write(part)
    return said


def _pack_lr(hr: Path, given: Path | None, scale: int, part: Path) -> str:
    """Pack the LR images of one scale, given or made; say which, and whether given ones are MATLAB's bicubic."""
    listing = list_generated(by_stem(list_images(hr)), scale) if given is None else list_folders(hr, given, scale)
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
    """A folder that takes its place when the block ends well, and is removed otherwise."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".srq-", dir=folder.parent) as temporary:
            part = Path(temporary) / folder.name
            part.mkdir()
            yield part
            part.rename(folder)
    except OSError as error:
        raise SrqError(f"cannot write {folder}: {error.strerror or error}") from error


def _hr_folder(source: Path) -> Path:
    """The folder of the HR images; raises SrqError where there is none."""
    found = [folder for folder in (source, source / "HR", *sorted(source.glob("*_HR"))) if _holds_images(folder)]
    if not found:
        raise SrqError(f"{source}: no images in this folder, in HR or in a folder ending in _HR")
    return found[0]


def _lr_folder(source: Path, scale: int) -> Path | None:
    """The folder of the LR images of a scale, where there is one."""
    found = [path for path in sorted(source.glob(f"*LR_bicubic/X{scale}")) if _holds_images(path)]
    return found[0] if found else None


def _holds_images(folder: Path) -> bool:
    return folder.is_dir() and any(path.suffix.lower() in SUFFIXES for path in folder.iterdir())
