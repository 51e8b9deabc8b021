"""Unpacking of zip and tar files from the network: every file lands inside the target folder, or none does."""

from __future__ import annotations

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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Images hardly shrink when they are packed, so that an archive unpacks to about its own size.
LARGEST_RATIO = 20
SMALLEST_LIMIT = 2**24

_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, RuntimeError, ValueError)


class Member(NamedTuple):
    """One entry of an archive; `open` is None for a folder."""

    name: str
    size: int
    open: Callable[[], IO[bytes]] | None


def unpack(archive: Path, destination: Path, inside: str = "") -> int:
    """Unpack the files below the folder `inside` of an archive into the new folder `destination`; return their number.

    Raises SrqError, and leaves nothing, for an archive that is damaged, names a place outside of the destination,
    holds a link or a device, names a file twice, or unpacks to more than its size explains.
    """
    destination.mkdir(parents=True)
    limit = max(LARGEST_RATIO * archive.stat().st_size, SMALLEST_LIMIT)
    try:
        with _members(archive) as members:
            count = _write(members, destination, PurePosixPath(inside), limit)
    except BaseException as error:
        shutil.rmtree(destination, ignore_errors=True)
        if isinstance(error, _RefusedError):
            raise SrqError(f"{archive} is refused: {error}") from error
        if isinstance(error, _DAMAGE):
            raise SrqError(f"{archive}: no zip or tar file, or damaged ({error}); fetch it anew") from error
        if isinstance(error, OSError):
            raise SrqError(f"cannot unpack {archive} into {destination}: {error.strerror or error}") from error
        raise
    return count


class _RefusedError(Exception):
    """An archive that no honest publisher makes."""


def _write(members: Iterator[Member], destination: Path, inside: PurePosixPath, limit: int) -> int:
    count = total = 0
    for member in members:
        path = safe_path(member.name)
        total += member.size
        if member.size < 0 or total > limit:
            raise _RefusedError(f"it unpacks to more than {limit} bytes")
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
    """The relative path that a member's name means on every system; refuses one that leaves its folder on any."""
    path = PurePosixPath(name)
    reserved = any(_is_reserved(part) or part.endswith((" ", ".")) for part in path.parts)  # and `..`
    if not name.isprintable() or set(name) & set('\\<>:"|?*') or not name or path.is_absolute() or reserved:
        raise _RefusedError(f"it names the place {name[:80]!r}")
    return path


@contextmanager
def _members(archive: Path) -> Iterator[Iterator[Member]]:
    if tarfile.is_tarfile(archive):  # asked first: a tar file may end with a zip file
        with tarfile.open(archive) as tar:
            yield _tar_members(tar)
    else:
        with zipfile.ZipFile(archive) as file:
            yield _zip_members(file)


def _zip_members(archive: zipfile.ZipFile) -> Iterator[Member]:
    for info in archive.infolist():
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _RefusedError(f"'{info.filename[:80]}' is a link or a device")
        yield Member(
            info.filename, info.file_size, None if info.filename.endswith("/") else partial(archive.open, info)
        )


def _tar_members(archive: tarfile.TarFile) -> Iterator[Member]:
    for info in archive:
        if not info.isfile() and not info.isdir():
            raise _RefusedError(f"'{info.name[:80]}' is a link or a device")
        yield Member(info.name, info.size, None if info.isdir() else partial(_opened, archive, info))


def _opened(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    file = archive.extractfile(info)
    assert file is not None  # it is a regular file
    return file


def _is_reserved(name: str) -> bool:
    """Whether Windows gives a name a meaning of its own, such as `nul`."""
    if hasattr(ntpath, "isreserved"):  # from Python 3.13
        return bool(ntpath.isreserved(name))
    return PureWindowsPath(name).is_reserved()
