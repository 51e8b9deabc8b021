"""Datasets of LR and HR images: sample photos, available image sets, an HR folder, or folders and LMDBs of both."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import SrqError
from .image_set import list_imported
from .images.header import Size
from .images.pixels import Image, decode, size_of
from .pairs import Listing, list_pairs, sha256_of_pairs
from .photos import photo_path
from .resize import crop_to_multiple, downscale
from .stores import Files, open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..protocol.suite import DataSource
    from .stores import Store


@dataclass(frozen=True, eq=False)
class Pair:
    """An LR image and its HR image, both (H, W, 3) uint8 RGB; HR is exactly `scale` times as large."""

    name: str
    lr: Image
    hr: Image


@dataclass(frozen=True, eq=False)
class Dataset:
    """Pairs; each is read from disk on access, so that memory holds one at a time."""

    name: str
    scale: int
    names: tuple[str, ...]
    lr_sizes: tuple[Size, ...]
    read: Callable[[int], tuple[Image, Image]]
    read_lr: Callable[[int], Image]
    known_sha256: str | None = None
    _seen: dict[tuple[int, int], bytes] = field(default_factory=dict, init=False, repr=False)
    """By index and factor of the size, the SHA-256 of the pixels that were read first."""

    def __len__(self) -> int:
        """The number of pairs."""
        return len(self.names)

    def __getitem__(self, index: int) -> Pair:
        """Read one pair; raises SrqError if its pixels are damaged or not what its header or an earlier read said."""
        index = range(len(self))[index]
        lr, hr = self.read(index)
        self._check(index, lr)
        self._check(index, hr, self.scale)
        return Pair(self.names[index], lr, hr)

    def lr(self, index: int) -> Image:
        """Read one LR image alone; raises SrqError as `dataset[index]` does."""
        lr = self.read_lr(index)
        self._check(index, lr)
        return lr

    def _check(self, index: int, image: Image, times: int = 1) -> None:
        """What is scored is what was hashed."""
        where = f"dataset '{self.name}': image '{self.names[index]}'"
        expected = Size(*(times * length for length in self.lr_sizes[index]))
        if size_of(image) != expected:
            raise SrqError(f"{where} is {size_of(image)}, its header said {expected}; it changed while in use")
        pixels = hashlib.sha256(image.tobytes()).digest()
        if self._seen.setdefault((index, times), pixels) != pixels:
            raise SrqError(f"{where} has other pixels than at its first read; it changed while in use, so start again")

    def __iter__(self) -> Iterator[Pair]:
        """Read the pairs one after the other."""
        return (self[index] for index in range(len(self)))

    @cached_property
    def lr_images(self) -> LrImages:
        """All LR images, each read on access."""
        return LrImages(self)

    @cached_property
    def sha256(self) -> str:
        """64 hexadecimal digits over names, shapes and pixels; unless known, the first access reads every image."""
        if self.known_sha256 is not None:
            return self.known_sha256
        return sha256_of_pairs((pair.name, pair.lr, pair.hr) for pair in self)


class LrImages:
    """The LR images of a dataset; each is read on first access and kept."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._kept: dict[int, Image] = {}

    def __len__(self) -> int:
        """The number of images."""
        return len(self._dataset)

    def __getitem__(self, index: int) -> Image:
        """One image (H, W, 3) uint8; raises SrqError if it is damaged."""
        index = range(len(self))[index]
        if index not in self._kept:
            self._kept[index] = self._dataset.lr(index)
            self._kept[index].setflags(write=False)
        return self._kept[index]


def load_dataset(name: str, source: DataSource, scale: int, images: Path | None = None) -> Dataset:
    """Check all names and headers of a source and return its pairs; pixels are read on access.

    `images` is the folder of the available image sets, for a source that names some.
    """
    return Dataset(name, scale, *_list(source, scale, images))


def _list(source: DataSource, scale: int, images: Path | None) -> Listing:
    for kind, names in (("photo", source.photos), ("dataset", source.datasets)):
        if len(set(names)) < len(names):
            raise SrqError(f"{kind}s {', '.join(names)}: a {kind} is named twice; name each once")
    if source.datasets:
        if images is None:
            raise SrqError(f"datasets {', '.join(source.datasets)} are named, but no folder that holds them")
        return list_imported(source.datasets, images, scale)
    if source.hr is None:
        return list_generated(Files({name: photo_path(name) for name in source.photos}), scale)
    hr = open_store(source.hr, scale)
    if source.lr is None:
        return list_generated(hr, scale)
    return list_pairs(hr, open_store(source.lr, scale), scale, f"{source.hr} and {source.lr}")


def list_generated(hr: Store, scale: int) -> Listing:
    """HR images alone, cropped to a multiple of the scale, and LR images made from them."""
    names = hr.names

    def read(index: int) -> tuple[Image, Image]:
        name = names[index]
        pixels = decode(hr.read(name), hr.called(name))
        cropped = np.ascontiguousarray(crop_to_multiple(pixels, scale))
        return downscale(cropped, scale), cropped

    return Listing(names, tuple(lr_size(hr, name, scale) for name in names), read, lambda index: read(index)[0])


def lr_size(hr: Store, name: str, scale: int) -> Size:
    """The size of the LR image that is made from an HR image; raises SrqError if nothing is left of it."""
    size = hr.size(name)
    if min(size) < scale:
        raise SrqError(f"{hr.called(name)}: {size} pixels are too few for x{scale}; remove it")
    return Size(size.height // scale, size.width // scale)


def crops(dataset: Dataset, count: int, size: int, seed: int) -> Image:
    """Random LR patches (count, size, size, 3): every image has the same chance, then every place in it."""
    if not len(dataset):
        raise SrqError(f"dataset '{dataset.name}' has no images to cut patches from")
    for name, whole in zip(dataset.names, dataset.lr_sizes, strict=True):
        if min(whole) < size:
            where = f"dataset '{dataset.name}': LR image '{name}'"
            raise SrqError(f"{where} is {whole}, too small for patches of {size}; remove it or cut smaller ones")
    generator = np.random.default_rng(seed)
    chosen = generator.integers(len(dataset), size=count)
    room = np.array(dataset.lr_sizes)[chosen] - size
    corners = generator.integers(room + 1)
    patches = np.empty((count, size, size, 3), dtype=np.uint8)
    for index in np.unique(chosen):
        lr = dataset.lr_images[int(index)]
        for patch in np.flatnonzero(chosen == index):
            top, left = corners[patch]
            patches[patch] = lr[top : top + size, left : left + size]
    patches.setflags(write=False)  # runs share them
    return patches
