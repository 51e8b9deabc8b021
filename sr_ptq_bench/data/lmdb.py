"""LMDB folders in BasicSR's format: `data.mdb` with a PNG per key, and `meta_info.txt` with a line for each.

This is the one module that imports lmdb.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import SrqError
from ..storage.files import too_large
from ..storage.text import read_text
from ..storage.working_folder import working_folder
from .images.folder import list_images
from .images.header import LARGEST_FILE, MAX_PIXELS, Size, check_bytes, check_image
from .images.pixels import Image, encode_png, read_image, size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path

SUFFIX = ".lmdb"
DATA = "data.mdb"

# BasicSR takes the text before the first dot of a line as the key and encodes it as ASCII.
_KEY = r"[ -\-0-\[\]-~]{1,255}"  # printable ASCII without dot, slash and backslash
_LINE = re.compile(rf"({_KEY})\.[A-Za-z0-9]{{1,8}} \(([0-9]{{1,7}}),([0-9]{{1,7}}),([13])\) [0-9]{{1,2}}")
_HEADER_BYTES = 2**20
_LARGEST_META = 2**24
_COMPRESSION = 1
_IMAGES_PER_COMMIT = 64  # LMDB keeps what is not committed in memory


def is_lmdb(folder: Path) -> bool:
    """Whether a folder is, or should be, an LMDB."""
    return folder.suffix == SUFFIX or (folder / DATA).is_file()


def parse_meta(text: str, name: str) -> dict[str, Size]:
    """Sizes by key from the lines of a meta_info.txt, which errors call `name`."""
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n") if text else []
    sizes: dict[str, Size] = {}
    for number, line in enumerate(lines, start=1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise SrqError(f"{name}: line {number} is {line[:80]!r}; expected 'key.png (height,width,3) 1'")
        key, size = match[1], Size(int(match[2]), int(match[3]))
        if not 0 < size.height * size.width <= MAX_PIXELS:
            raise SrqError(f"{name}: line {number} says {size} pixels; expected 1 to {MAX_PIXELS}")
        if key in sizes:
            raise SrqError(f"{name}: line {number} repeats the key '{key}'; keys must differ")
        sizes[key] = size
    if not sizes:
        raise SrqError(f"{name}: names no images; write the folder again with `srq data lmdb`")
    return sizes


def check_lmdb(folder: Path) -> dict[str, Size]:
    """Sizes by key of an LMDB folder, after a look at its meta lines and the header of every entry."""
    meta = folder / "meta_info.txt"
    try:
        text = read_text(meta, _LARGEST_META)
    except (OSError, UnicodeDecodeError) as error:
        raise SrqError(f"{folder}: no readable meta_info.txt ({error}); expected BasicSR's format") from error
    sizes = parse_meta(text, str(meta))
    with _reader(folder) as (entries, entry):
        for key, size in sizes.items():
            found = _size(entry(key), f"{folder}[{key}]")
            if found != size:
                raise SrqError(f"{folder}[{key}]: {found} pixels, meta_info.txt says {size}; write it again")
    if entries != len(sizes):
        raise SrqError(f"{folder}: data.mdb has {entries} images, meta_info.txt names {len(sizes)}; write it again")
    return sizes


def _size(entry: memoryview, name: str) -> Size:
    """The size of an image by the start of an entry, or by the whole entry if long metadata come first."""
    try:
        return check_bytes(bytes(entry[:_HEADER_BYTES]), name)
    except SrqError:
        return check_bytes(bytes(entry), name)


def read_entry(folder: Path, key: str) -> bytes:
    """The bytes of one entry, an image file."""
    with _reader(folder) as (_, entry):
        return bytes(entry(key))


@contextmanager
def _reader(folder: Path) -> Iterator[tuple[int, Callable[[str], memoryview]]]:
    """The number of entries and a function from key to bytes, while the LMDB is open; a process opens it only once."""
    import lmdb

    data = folder / DATA
    if not data.is_file():
        raise SrqError(f"{folder}: no data.mdb in it; expected an LMDB of BasicSR")
    try:
        with lmdb.open(str(folder), readonly=True, lock=False, readahead=False, create=False) as env:
            pages = env.info()["last_pgno"] + 1
            present = data.stat().st_size
            if present < pages * env.stat()["psize"]:
                # Reading past the end of a mapped file would kill the process.
                raise SrqError(f"{data}: truncated; copy or write it again")
            with env.begin(buffers=True) as transaction:

                def entry(key: str) -> memoryview:
                    value: memoryview | None = transaction.get(key.encode("ascii"))
                    if value is None:
                        raise SrqError(f"{folder}: meta_info.txt names '{key}', data.mdb lacks it; write it again")
                    if len(value) > min(LARGEST_FILE, present):
                        raise too_large(f"{folder}[{key}]", LARGEST_FILE)
                    return value

                yield transaction.stat()["entries"], entry
    except lmdb.Error as error:
        raise SrqError(f"{data}: not an LMDB or damaged ({error}); write it again") from error


def write_lmdb(source: Path, destination: Path) -> int:
    """Write a folder of images as an LMDB in BasicSR's format and return their number; raises as `pack` does."""
    _check_destination(destination)
    images = _keyed(list_images(source))
    pack(destination, {key: check_image(path) for key, path in images.items()}, lambda key: read_image(images[key]))
    return len(images)


def pack(destination: Path, sizes: Mapping[str, Size], read: Callable[[str], Image]) -> None:
    """Write images, given their sizes by key and a function that reads them, as an LMDB in BasicSR's format.

    The destination appears when it is complete. BasicSR's own function ends the process if it exists
    already, sizes the map by the first image, and lets equal base names overwrite each other.
    """
    _check_destination(destination)
    try:
        with working_folder(destination.parent) as folder:
            part = folder / destination.name
            _fill(part, sizes, read)
            part.rename(destination)
    except OSError as error:
        raise SrqError(f"cannot write {destination}: {error.strerror or error}") from error


def _check_destination(destination: Path) -> None:
    if destination.suffix != SUFFIX:
        raise SrqError(f"{destination}: BasicSR wants LMDBs to end in {SUFFIX}; use {destination.name}{SUFFIX}")
    if destination.exists() or destination.is_symlink():
        raise SrqError(f"{destination} exists already; remove it or choose another name")
    if not destination.parent.is_dir():
        raise SrqError(f"{destination.parent}: no such folder; make it first")


def _fill(folder: Path, sizes: Mapping[str, Size], read: Callable[[str], Image]) -> None:
    import lmdb

    from ..basicsr_compat import LmdbMaker

    try:
        maker = LmdbMaker(str(folder), _map_size(sizes.values()), batch=_IMAGES_PER_COMMIT, compress_level=_COMPRESSION)
        try:
            for key in sizes:
                image = read(key)
                maker.put(encode_png(image, _COMPRESSION), key, (*size_of(image), 3))
            maker.txn.commit()
        finally:
            maker.env.close()
            maker.txt_file.close()
    except lmdb.Error as error:
        raise SrqError(f"cannot write {folder.name}: {error}") from error


def _map_size(sizes: Collection[Size]) -> int:
    """Enough bytes for every image: a PNG is hardly larger than its pixels, and pages are rounded up."""
    raw = sum((3 * size.width + 1) * size.height for size in sizes)
    return raw + raw // 8 + 2**16 * len(sizes) + 2**24


def _keyed(paths: list[Path]) -> dict[str, Path]:
    """The images by LMDB key, which is the base name; raises SrqError for names that BasicSR would mix up."""
    images: dict[str, Path] = {}
    for path in paths:
        key = path.stem
        if not re.fullmatch(_KEY, key):
            raise SrqError(f"{path}: '{key}' cannot be an LMDB key; rename it to ASCII without inner dots")
        if key in images:
            raise SrqError(f"{images[key].name} and {path.name} have the same base name; rename one of them")
        images[key] = path
    return images
