"""Opens zip and tar files from anyone; every length in them is checked before memory is allocated for it."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zipfile
from typing import IO, TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST_HEADER = 2**20
"""Bytes of the headers of one member of a tar file: its name and what systems store with it."""
LARGEST_HEADERS = 2**26
"""Bytes of the headers of all members."""
LARGEST_DIRECTORY = 2**22
"""Bytes of the list of members that ends a zip file: tens of thousands of names."""
_COMPRESSED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}


class HeaderError(Exception):
    """A header that is larger than any of its kind."""


class Metered:
    """A file that raises after an allowance of bytes has been read from it; None is no limit."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.left: int | None = None

    def read(self, size: int = -1) -> bytes:
        """As a file's; raises HeaderError."""
        if self.left is None:
            return self._file.read(size)
        content = self._file.read(min(size, self.left + 1) if size >= 0 else self.left + 1)
        self.left -= len(content)
        if self.left < 0:
            raise HeaderError("it claims headers that are larger than any of their kind")
        return content

    def seek(self, offset: int, whence: int = 0) -> int:
        """As a file's."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As a file's."""
        return self._file.tell()

    def seekable(self) -> bool:
        """As a file's."""
        return True


def open_zip(file: IO[bytes]) -> zipfile.ZipFile:
    """A zip file whose list of members has a sound size; raises HeaderError and the errors of zipfile."""
    meter = Metered(file)
    meter.left = LARGEST_DIRECTORY
    archive = zipfile.ZipFile(cast("IO[bytes]", meter))
    meter.left = None
    return archive


def open_tar(file: IO[bytes]) -> tuple[tarfile.TarFile, Metered]:
    """A tar file, compressed or not, and the meter of what is read from it; raises what the libraries raise."""
    start = file.read(8)
    file.seek(0)
    unpack = next((unpack for magic, unpack in _COMPRESSED.items() if start.startswith(magic)), None)
    meter = Metered(unpack(file) if unpack else file)
    meter.left = LARGEST_HEADER
    return tarfile.open(fileobj=cast("IO[bytes]", meter), mode="r:"), meter


def tar_headers(archive: tarfile.TarFile, meter: Metered) -> Iterator[tarfile.TarInfo]:
    """The headers of a tar file, one after the other; none is kept. Raises as `open_tar`."""
    left = LARGEST_HEADERS
    while True:
        meter.left = allowed = min(LARGEST_HEADER, left)
        info = archive.next()
        archive.members.clear()  # type: ignore[attr-defined]  # typeshed lacks it
        left -= allowed - meter.left
        meter.left = None
        if info is None:
            return
        yield info
