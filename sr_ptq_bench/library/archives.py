"""Unpacking of zip and tar files from the network: every file lands inside the target folder, or none does."""

from __future__ import annotations

import gzip
import lzma
import ntpath
import shutil
import stat
import tarfile
import zipfile
import zlib
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, TYPE_CHECKING, NamedTuple

from ..errors import SrqError
from ..storage.archive_files import HeaderError, Metered, open_tar, open_zip, tar_headers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Packing hardly shrinks images, so an archive unpacks to about its own size.
LARGEST_RATIO = 20
SMALLEST_LIMIT = 2**24

MOST_MEMBERS = 2**15
"""Flickr2K's archive has 18,000."""
FEWEST_MEMBERS, BYTES_PER_MEMBER = 1000, 128
"""An archive of images has far fewer members than this, and far fewer than its bytes divided by this."""

_NO_TAR = (tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, gzip.BadGzipFile)
_DAMAGE = (*_NO_TAR, zipfile.BadZipFile, RuntimeError, ValueError)


class Member(NamedTuple):
    """One entry of an archive; `open` is None for a folder."""

    name: str
    size: int
    open: Callable[[], IO[bytes]] | None


def unpack(archive: Path, destination: Path, inside: str = "") -> int:
    """Unpack the files below the folder `inside` of an archive into the new folder `destination`; return their number.

    Raises SrqError, and leaves nothing, for an archive that is damaged, names a place outside of the destination,
    holds a link or a device, names a file twice, or unpacks to more bytes or files than its size explains.
    """
    destination.mkdir(parents=True)
    try:
        with archive.open("rb") as file, _members(file) as members:
            bounded = _bounded(members, archive.stat().st_size)
            count = _write(bounded, destination, PurePosixPath(inside))
    except BaseException as error:
        shutil.rmtree(destination, ignore_errors=True)
        if isinstance(error, _RefusedError | HeaderError):
            raise SrqError(f"{archive} is refused: {error}") from error
        if isinstance(error, _DAMAGE) or (isinstance(error, OSError) and error.errno is None):
            raise SrqError(f"{archive}: no zip or tar file, or damaged ({error}); fetch it again") from error
        if isinstance(error, OSError):
            raise SrqError(f"cannot unpack {archive} into {destination}: {error.strerror or error}") from error
        raise
    return count


class _RefusedError(Exception):
    """An archive that looks hostile."""


def _bounded(members: Iterator[Member], archive_bytes: int) -> Iterator[Member]:
    """The members; raises if they are more than an archive of this size can hold."""
    most_bytes = max(LARGEST_RATIO * archive_bytes, SMALLEST_LIMIT)
    most = min(MOST_MEMBERS, max(FEWEST_MEMBERS, archive_bytes // BYTES_PER_MEMBER))
    total = 0
    for count, member in enumerate(members, start=1):
        total += member.size
        if member.size < 0 or total > most_bytes:
            raise _RefusedError(f"it unpacks to more than {most_bytes} bytes")
        if count > most:
            raise _RefusedError(f"it has more than {most} members")
        yield member


def _write(members: Iterator[Member], destination: Path, inside: PurePosixPath) -> int:
    count = 0
    for member in members:
        path = safe_path(member.name)
        if member.open is None or not path.is_relative_to(inside):
            continue
        target = destination.joinpath(*path.parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with member.open() as source, target.open("xb") as file:
                shutil.copyfileobj(source, file)
        except FileExistsError as error:
            raise _RefusedError(f"it names '{member.name}' twice") from error
        count += 1
    return count


def safe_path(name: str) -> PurePosixPath:
    """The relative path of a member, the same on every system; refuses names that leave the folder on any system."""
    path = PurePosixPath(name)
    reserved = any(_is_reserved(part) or part.endswith((" ", ".")) for part in path.parts)  # and `..`
    if not name.isprintable() or set(name) & set('\\<>:"|?*') or not name or path.is_absolute() or reserved:
        raise _RefusedError(f"it names the place {name[:80]!r}")
    return path


@contextmanager
def _members(file: IO[bytes]) -> Iterator[Iterator[Member]]:
    """The members of a tar file, or of a zip file."""
    try:
        tar, meter = open_tar(file)  # tried first: a tar file may end with a zip file
    except _NO_TAR:
        with open_zip(file) as archive:
            yield _zip_members(archive)
    else:
        with tar:
            yield _tar_members(tar, meter)


def _zip_members(archive: zipfile.ZipFile) -> Iterator[Member]:
    members = archive.infolist()
    if len(members) > MOST_MEMBERS:
        raise _RefusedError(f"it has more than {MOST_MEMBERS} members")
    for info in members:
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _RefusedError(f"'{info.filename[:80]}' is a link or a device")
        name = _with_slashes(info.filename)
        yield Member(name, info.file_size, None if name.endswith("/") else partial(archive.open, info))


def _tar_members(archive: tarfile.TarFile, meter: Metered) -> Iterator[Member]:
    for info in tar_headers(archive, meter):
        if not info.isfile() and not info.isdir():
            raise _RefusedError(f"'{info.name[:80]}' is a link or a device")
        yield Member(_with_slashes(info.name), info.size, None if info.isdir() else partial(_opened, archive, info))


def _with_slashes(name: str) -> str:
    """The name with slashes between its parts; some tools of Windows write backslashes."""
    return name.replace("\\", "/")


def _opened(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    file = archive.extractfile(info)
    assert file is not None  # it is a regular file
    return file


def _is_reserved(name: str) -> bool:
    """Whether a name is reserved on Windows, such as `nul`."""
    if hasattr(ntpath, "isreserved"):  # from Python 3.13
        return bool(ntpath.isreserved(name))
    return PureWindowsPath(name).is_reserved()
