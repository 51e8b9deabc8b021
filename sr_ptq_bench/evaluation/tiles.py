"""Large images in overlapping tiles, so that memory depends on the tile and not on the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..errors import SrqError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..protocol.suite import Tiles
    from ..quantization.network import SRModel


class Tile(NamedTuple):
    """Along one axis, in LR pixels: the network sees `seen`, and `kept` of its output stays; both are [start, stop)."""

    seen: tuple[int, int]
    kept: tuple[int, int]


def check_tiles(tiles: Tiles | None, model: SRModel) -> None:
    """Raise SrqError for tiles too small for the network, or that do not begin where windows begin."""
    for name, length in (("tile", tiles.size), ("tile overlap", tiles.overlap)) if tiles else ():
        if length % model.size_multiple:
            down = length - length % model.size_multiple
            nearest = " or ".join(str(each) for each in (down, down + model.size_multiple) if each)
            raise SrqError(
                f"{name} {length} is no multiple of the network's window {model.size_multiple}; choose {nearest}"
            )
    if tiles and (why := model.too_small(tiles.size)):
        raise SrqError(f"tile {tiles.size} is {why}; choose {model.smallest()} or more")


def along(length: int, tiles: Tiles, window: int = 1, least: int = 1) -> Iterator[Tile]:
    """The tiles along an axis of `length` LR pixels, each seen with up to `overlap` more pixels on both sides.

    The seen part begins at a multiple of the window and has `least` pixels or more, a multiple of the window too.
    """
    for start in range(0, length, tiles.size):
        stop = min(start + tiles.size, length)
        last = (length - least) // window * window
        first = max(0, min(start - tiles.overlap, last))
        yield Tile((first, min(stop + tiles.overlap, length)), (start, stop))
