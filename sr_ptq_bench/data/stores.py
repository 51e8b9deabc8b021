"""Images in a folder of files, or in an LMDB in BasicSR's format; both are read in the same way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ..errors import SrqError
from .images.folder import list_images
from .images.header import Size, check_image
from .images.pixels import read_file
from .lmdb import check_lmdb, is_lmdb, read_entry
from .names import by_name, keys_by_name, split_pattern

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Store(Protocol):
    """Image files by the name of the image."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all images."""

    def size(self, name: str) -> Size:
        """The size of an image by its header; raises SrqError for an image that is not read."""

    def read(self, name: str) -> bytes:
        """The bytes of an image file; raises SrqError."""

    def called(self, name: str) -> str:
        """What an error calls the image."""


@dataclass(frozen=True)
class Files:
    """Files by name."""

    paths: Mapping[str, Path]

    @property
    def names(self) -> tuple[str, ...]:
        """As `Store.names`."""
        return tuple(self.paths)

    def size(self, name: str) -> Size:
        """As `Store.size`."""
        return check_image(self.paths[name])

    def read(self, name: str) -> bytes:
        """As `Store.read`."""
        return read_file(self.paths[name])

    def called(self, name: str) -> str:
        """As `Store.called`."""
        return str(self.paths[name])


@dataclass(frozen=True)
class Entries:
    """Entries of an LMDB by name, if keys are longer than the name."""

    folder: Path
    keys: Mapping[str, str]
    sizes: Mapping[str, Size]
    """By key."""

    @property
    def names(self) -> tuple[str, ...]:
        """As `Store.names`."""
        return tuple(self.keys)

    def size(self, name: str) -> Size:
        """As `Store.size`."""
        return self.sizes[self.keys[name]]

    def read(self, name: str) -> bytes:
        """As `Store.read`."""
        return read_entry(self.folder, self.keys[name])

    def called(self, name: str) -> str:
        """As `Store.called`."""
        return f"{self.folder}[{self.keys[name]}]"


def open_store(path: Path | str, scale: int) -> Store:
    """A folder of images or an LMDB; the path may hold {scale} and end in a pattern with {name}. Raises SrqError."""
    folder, pattern = split_pattern(str(path), scale)
    store: Store
    if is_lmdb(folder):
        sizes = check_lmdb(folder)
        store = Entries(folder, keys_by_name(sizes, pattern), sizes)
    else:
        store = Files(by_name(list_images(folder), pattern))
    if not store.names:
        raise SrqError(f"{folder}: no image is named {pattern}; expected files of that name, {{name}} being any text")
    return store
