"""HR images with the LR images that belong to them, read by BasicSR's dataset.

All names and headers are checked when the pairs are listed, before anything slow starts; pixels are read one
pair at a time.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import SrqError
from .images.header import Size
from .images.pixels import Image, decode, portable
from .names import lr_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .stores import Store


class Listing(NamedTuple):
    """Checked pairs: names, sizes of the LR images, and functions from an index to the pixels.

    `read` gives (LR, HR), `read_lr` LR alone. `sha256` is the dataset's, if it is known without reading every image.
    """

    names: tuple[str, ...]
    lr_sizes: tuple[Size, ...]
    read: Callable[[int], tuple[Image, Image]]
    read_lr: Callable[[int], Image]
    sha256: str | None = None


def sha256_of_pairs(pairs: Iterable[tuple[str, Image, Image]]) -> str:
    """64 hexadecimal digits over names, shapes and pixels of (name, LR, HR)."""
    digest = hashlib.sha256()
    for name, lr, hr in pairs:
        digest.update(f"{name}\n{lr.shape} {hr.shape}\n".encode(errors="surrogateescape"))
        digest.update(lr.tobytes())
        digest.update(hr.tobytes())
    return digest.hexdigest()


def list_pairs(hr: Store, lr: Store, scale: int, where: str) -> Listing:
    """HR and LR images whose names and sizes fit; `where` is what an error calls the two."""
    names = lr_names(hr.names, lr.names, scale, where)
    sizes = []
    for hr_name, lr_name in names.items():
        sizes.append(lr.size(lr_name))
        _check_fit(hr.size(hr_name), sizes[-1], scale, f"{hr.called(hr_name)} and {lr.called(lr_name)}")
    pairs, client = list(names.items()), _Client(hr, lr)

    def read_lr(index: int) -> Image:
        _, name = pairs[index]
        return decode(lr.read(name), lr.called(name))

    return Listing(tuple(names), tuple(sizes), lambda index: _read(client, *pairs[index], scale), read_lr)


def _check_fit(hr: Size, lr: Size, scale: int, where: str) -> None:
    """HR may be larger than LR times the scale by less than the scale; BasicSR crops it."""
    if any(not 0 <= large - scale * small < scale for large, small in zip(hr, lr, strict=True)):
        raise SrqError(f"{where}: HR and LR do not fit the scale: HR is {hr}, LR {lr}; expected x{scale}")


@dataclass(frozen=True)
class _Client:
    """The file client of BasicSR's dataset: it gives checked bytes, which BasicSR decodes as we do."""

    gt: Store
    lq: Store

    def get(self, name: str, kind: str) -> bytes:
        """The bytes of an HR (`gt`) or LR (`lq`) image."""
        store = {"gt": self.gt, "lq": self.lq}[kind]
        return portable(store.read(name), store.called(name))


def _read(client: _Client, hr: str, lr: str, scale: int) -> tuple[Image, Image]:
    """The pixels (LR, HR) of one pair, HR cropped to fit, through BasicSR's dataset."""
    from ..basicsr_compat import PairedImageDataset

    # BasicSR pairs every file of a folder, a Thumbs.db too; here it lists nothing and is given the pair.
    nothing = {"dataroot_gt": "", "dataroot_lq": "", "meta_info_file": os.devnull}
    dataset = PairedImageDataset({"phase": "val", "scale": scale, "io_backend": {"type": "disk"}, **nothing})
    dataset.paths, dataset.file_client = [{"gt_path": hr, "lq_path": lr}], client
    try:
        item = dataset[0]
    except AttributeError as error:  # BasicSR goes on with the None that OpenCV returns
        names = f"{client.gt.called(hr)} or {client.lq.called(lr)}"
        raise SrqError(f"OpenCV cannot decode {names}; save it as an 8-bit RGB PNG") from error
    return _to_8_bit(item["lq"].numpy()), _to_8_bit(item["gt"].numpy())


def _to_8_bit(image: np.ndarray) -> Image:
    """(3, H, W) float32 in [0, 1], made from 8 bit -> (H, W, 3) uint8, exactly."""
    return np.ascontiguousarray(np.rint(image * 255).astype(np.uint8).transpose(1, 2, 0))
