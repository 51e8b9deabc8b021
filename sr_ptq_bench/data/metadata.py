"""PNG, JPEG and TIFF files without the parts that do not affect their pixels: texts, colour profiles, thumbnails."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO, Literal

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8"
TIFF: dict[bytes, Literal["little", "big"]] = {b"II*\0": "little", b"MM\0*": "big"}
_TIFF_ORIENTATION = 274
_TIFF_PIXELS = frozenset(
    {*range(254, 260), 262, 266, 273, *range(277, 280), 284, 292, 293, 317, 320, *range(322, 326), 338, 339, 347}
    | set(range(529, 533))
)
"""Tags of size, layout, compression and colours."""
_FOR_PILLOW = (b"eXIf", b"Exif\0\0", b"acTL", b"fcTL")
"""EXIF data, and what says that a PNG is animated."""
_LARGEST_KEPT = 2**20
"""Bytes of EXIF data that are kept; larger data hold a picture, not only an orientation."""
_START_OF_PIXELS = 64
_REST = b""
_SCAN = 0xDA
_COMMENT, _APPLICATIONS = 0xFE, range(0xE0, 0xF0)
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD8)}
_OF_DECODERS = (b"JFIF\0", b"Adobe")
"""The first bytes of application segments that tell a decoder the colours."""


class _Part(NamedTuple):
    """A chunk of a PNG or a segment of a JPEG: what it is, where it begins, and its bytes."""

    kind: bytes
    start: int
    size: int
    decides: bool
    is_pixels: bool = False


def has_metadata(start: bytes) -> bool:
    """Whether these first bytes are of a format whose metadata can be removed here."""
    return start.startswith((PNG, JPEG, *TIFF))


def without_metadata(file: BinaryIO, whole: bool = True, for_pillow: bool = False) -> bytes:
    """The PNG, JPEG or TIFF with the parts that decide its pixels; for Pillow with EXIF data and a sign of more images.

    Without `whole`, a PNG or JPEG ends where its pixels begin. Damage stays as it is, but a whole PNG that is not for
    Pillow ends with its last whole chunk: OpenCV takes memory for all that a cut chunk announces.
    """
    file.seek(0)
    start = file.read(len(PNG))
    if start[:4] in TIFF:
        return _tiff(start + file.read(), TIFF[start[:4]], for_pillow)
    signature, parts = (PNG, _chunks(file)) if start == PNG else (JPEG, _segments(file))
    kept = [signature]
    for part in parts:
        told = for_pillow and part.kind in _FOR_PILLOW and part.size <= _LARGEST_KEPT
        cut = part.kind == _REST and signature == PNG and whole and not for_pillow
        if (part.decides and not cut) or told:
            file.seek(part.start)
            kept.append(file.read(part.size if whole or not part.is_pixels else min(part.size, _START_OF_PIXELS)))
        if part.is_pixels and not whole:
            break
        if part.is_pixels and signature == JPEG:
            kept.append(file.read())
            break
    return b"".join(kept)


def _chunks(file: BinaryIO) -> Iterator[_Part]:
    """Every chunk of a PNG; what follows the last whole one is one part."""
    end = file.seek(0, 2)
    place = len(PNG)
    while place < end:
        file.seek(place)
        head = file.read(8)
        kind, size = head[4:], 12 + int.from_bytes(head[:4], "big")
        if place + size > end or not kind.isalpha():
            yield _Part(_REST, place, end - place, decides=True)
            return
        decides = kind[:1].isupper() or kind == b"tRNS"
        yield _Part(kind, place, size, decides, is_pixels=kind == b"IDAT")
        place += size


def _segments(file: BinaryIO) -> Iterator[_Part]:
    """Every segment of a JPEG up to its first scan; what follows the last whole one is one part."""
    end = file.seek(0, 2)
    place = len(JPEG)
    while place < end:
        file.seek(place)
        head = file.read(4)
        marker = head[1] if len(head) == 4 and head[0] == 0xFF else None
        if marker == 0xFF:  # bytes between segments
            place += 1
            continue
        size = 2 if marker in _WITHOUT_LENGTH else 2 + int.from_bytes(head[2:], "big")
        if marker is None or place + size > end or (size < 4 and marker not in _WITHOUT_LENGTH):
            yield _Part(_REST, place, end - place, decides=True)
            return
        kind = file.read(6)
        known = kind.startswith(_OF_DECODERS) and size >= 16
        optional = marker == _COMMENT or (marker in _APPLICATIONS and not known)
        yield _Part(kind if marker == 0xE1 else b"", place, size, not optional, is_pixels=marker == _SCAN)
        place += size


def _tiff(data: bytes, order: Literal["little", "big"], keep_next: bool) -> bytes:
    """The file with those entries in its directory that decide pixels, and an orientation if it is a valid one.

    With `keep_next` the place of the next directory stays, which is that of another image.
    """

    def number(content: bytes, start: int, size: int) -> int:
        return int.from_bytes(content[start : start + size], order)

    def decides(entry: bytes) -> bool:
        tag, size = number(entry, 0, 2), {3: 2, 4: 4}.get(number(entry, 2, 2))  # a short or a long integer
        is_turn = tag == _TIFF_ORIENTATION and size is not None and number(entry, 4, 4) == 1
        return tag in _TIFF_PIXELS or (is_turn and number(entry, 8, size or 0) in range(1, 9))

    start = number(data, 4, 4)
    end = start + 2 + 12 * number(data, start, 2)
    if end > len(data):
        return data
    entries = (data[at : at + 12] for at in range(start + 2, end, 12))
    kept = list(filter(decides, entries))
    following = data[end : end + 4] if keep_next else b""
    directory = len(kept).to_bytes(2, order) + b"".join(kept) + following.ljust(4, b"\0")
    return data[:start] + directory + data[start + len(directory) :]
