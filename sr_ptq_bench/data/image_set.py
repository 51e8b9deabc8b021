"""Available image sets: a folder for each, with LMDBs of its HR images and of the LR images of every scale."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..errors import SrqError
from ..storage.files import read_whole, write_atomically
from .pairs import Listing, list_pairs, sha256_of_pairs
from .stores import open_store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SCALES = (2, 3, 4)
LARGEST_FILE = 2**16


class ImportedSet(BaseModel):
    """What an import has computed once: `import.json`, written last."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: int
    sha256: dict[int, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]]
    """By scale, what `Dataset.sha256` finds when it reads every image."""
    bytes: dict[str, int]
    """The size of every LMDB; most changes of an LMDB change it."""

    @model_validator(mode="after")
    def _every_scale(self) -> Self:
        if self.sha256.keys() != set(SCALES):
            raise ValueError(f"expected a checksum for each of the scales {SCALES}")
        return self

    @classmethod
    def read(cls, folder: Path) -> ImportedSet:
        """Read the set of a folder; raises SrqError if it is damaged."""
        try:
            return cls.model_validate_json(read_whole(folder / "import.json", LARGEST_FILE))
        except (OSError, ValidationError, SrqError) as error:
            raise SrqError(f"{folder}: damaged; remove this folder and import {folder.name} again") from error

    def write(self, folder: Path) -> None:
        """Mark the folder as complete."""
        write_atomically(folder / "import.json", self.model_dump_json(indent=1) + "\n")


def is_imported(folder: Path) -> bool:
    """Whether an image set is available."""
    return (folder / "import.json").is_file()


def hr_store(folder: Path) -> Path:
    """The LMDB of a set's HR images."""
    return folder / "HR.lmdb"


def lr_store(folder: Path, scale: int) -> Path:
    """The LMDB of a set's LR images."""
    return folder / f"LRx{scale}.lmdb"


def bytes_of(folder: Path) -> dict[str, int]:
    """The size of every LMDB of a set."""
    return {path.parent.name: path.stat().st_size for path in sorted(folder.glob("*.lmdb/data.mdb"))}


def list_imported(names: Sequence[str], images: Path, scale: int) -> Listing:
    """The pairs of one image set, or of several one after the other; their images are then called `set/image`."""
    parts = [_list_one(images / name, scale) for name in names]
    if len(parts) == 1:
        return parts[0]
    places = [(part, index) for part in parts for index in range(len(part.names))]
    return Listing(
        tuple(f"{name}/{image}" for name, part in zip(names, parts, strict=True) for image in part.names),
        tuple(size for part in parts for size in part.lr_sizes),
        lambda index: places[index][0].read(places[index][1]),
        lambda index: places[index][0].read_lr(places[index][1]),
        hashlib.sha256("".join(str(part.sha256) for part in parts).encode()).hexdigest(),
    )


def _list_one(folder: Path, scale: int) -> Listing:
    known = ImportedSet.read(folder)
    changed = SrqError(f"{folder}: changed since its import; remove this folder and import {folder.name} again")
    if known.bytes != bytes_of(folder):
        raise changed
    listing = list_packed(folder, scale)._replace(sha256=known.sha256[scale])
    if _is_younger(folder) and _computed(listing) != listing.sha256:
        raise changed
    return listing


def _is_younger(folder: Path) -> bool:
    """Whether an LMDB was written after the import; a copy of the folder may look so too."""
    imported = (folder / "import.json").stat().st_mtime_ns
    return any(path.stat().st_mtime_ns > imported for path in folder.glob("*.lmdb/data.mdb"))


def _computed(listing: Listing) -> str:
    return sha256_of_pairs((name, *listing.read(index)) for index, name in enumerate(listing.names))


def list_packed(folder: Path, scale: int) -> Listing:
    """The pairs in the LMDBs of a set, whether it is complete or not."""
    hr, lr = hr_store(folder), lr_store(folder, scale)
    return list_pairs(open_store(hr, scale), open_store(lr, scale), scale, f"{hr} and {lr}")
