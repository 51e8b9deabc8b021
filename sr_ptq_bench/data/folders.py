"""HR images with the LR images that belong to them, as folders or LMDBs, read by BasicSR's dataset.

All names and headers are checked when the pairs are listed, before anything slow starts; pixels are read one
pair at a time.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import SrqError
from .images import Image, Size, check_image, decode, list_images, read_image, verify
from .lmdb import check_lmdb, read_entry

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path


class Listing(NamedTuple):
    """Checked pairs: names, sizes of the LR images, and functions from an index to the pixels.

    `read` gives (LR, HR), `read_lr` LR alone. `sha256` is the dataset's, where it is known without reading every image.
    """

    names: tuple[str, ...]
    lr_sizes: tuple[Size, ...]
    read: Callable[[int], tuple[Image, Image]]
    read_lr: Callable[[int], Image]
    sha256: str | None = None


def list_folders(hr: Path, lr: Path, scale: int) -> Listing:
    """Pairs of two folders; an LR image is named as its HR image, or with `x2` (the scale) behind."""
    hr_files, lr_files = by_stem(list_images(hr)), by_stem(list_images(lr))
    template = _template(hr_files, lr_files, scale, f"{hr} and {lr}")
    pairs = [(lr_files[template.format(name)], path) for name, path in hr_files.items()]
    sizes = []
    for lr_path, hr_path in pairs:
        sizes.append(check_image(lr_path))
        _check_fit(check_image(hr_path), sizes[-1], scale, f"{hr_path} and {lr_path}")

    def read(index: int) -> tuple[Image, Image]:
        lr_path, hr_path = pairs[index]
        for path in pairs[index]:
            verify(path, str(path))
        # BasicSR pairs every file of a folder, a Thumbs.db too; here it lists nothing and is given the pair.
        options = _options(hr, lr, scale, "disk") | {"meta_info_file": os.devnull}
        return _read(options, {"lq_path": str(lr_path), "gt_path": str(hr_path)})

    return Listing(tuple(hr_files), tuple(sizes), read, lambda index: read_image(pairs[index][0]))


def list_lmdbs(hr: Path, lr: Path, scale: int) -> Listing:
    """Pairs of two LMDBs in BasicSR's format with the same keys."""
    hr_sizes, lr_sizes = check_lmdb(hr), check_lmdb(lr)
    _refuse_unpaired(hr_sizes, lr_sizes, f"{hr} and {lr}")
    names = tuple(sorted(hr_sizes))
    for name in names:
        _check_fit(hr_sizes[name], lr_sizes[name], scale, f"{hr} and {lr}, '{name}'")

    def read(index: int) -> tuple[Image, Image]:
        name = names[index]
        for folder in (lr, hr):
            verify(read_entry(folder, name), f"{folder}[{name}]")
        return _read(_options(hr, lr, scale, "lmdb"), {"lq_path": name, "gt_path": name})

    def read_lr(index: int) -> Image:
        return decode(read_entry(lr, names[index]), f"{lr}[{names[index]}]")

    return Listing(names, tuple(lr_sizes[name] for name in names), read, read_lr)


def by_stem(paths: list[Path]) -> dict[str, Path]:
    """The files by name without suffix; raises SrqError where two files share it."""
    files: dict[str, Path] = {}
    for path in paths:
        if path.stem in files:
            other = files[path.stem].name
            raise SrqError(f"{path.parent}: {other} and {path.name} share a base name; rename one of them")
        files[path.stem] = path
    return files


def _template(hr: Collection[str], lr: Collection[str], scale: int, where: str) -> str:
    """How LR names follow from HR names, `{}` or `{}x2`; raises SrqError unless all of them pair."""
    templates = ("{}", f"{{}}x{scale}")
    template = max(templates, key=lambda template: sum(template.format(name) in lr for name in hr))
    _refuse_unpaired([template.format(name) for name in hr], lr, where)
    return template


def _refuse_unpaired(expected: Collection[str], found: Collection[str], where: str) -> None:
    missing, extra = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    if missing or extra:
        first = f"no LR image '{missing[0]}'" if missing else f"no HR image for LR image '{extra[0]}'"
        counts = f"{len(expected)} HR and {len(found)} LR images"
        raise SrqError(f"{where}: {first} ({counts}); add or remove images until they pair")


def _check_fit(hr: Size, lr: Size, scale: int, where: str) -> None:
    """HR may exceed the multiple of LR by less than the scale; BasicSR crops it there."""
    if any(not 0 <= large - scale * small < scale for large, small in zip(hr, lr, strict=True)):
        raise SrqError(f"{where}: HR and LR do not fit the scale: HR is {hr}, LR {lr}; expected x{scale}")


def _options(hr: Path, lr: Path, scale: int, backend: str) -> dict[str, Any]:
    """What BasicSR's dataset wants to know."""
    roots = {"dataroot_gt": str(hr), "dataroot_lq": str(lr)}
    return {"phase": "val", "scale": scale, "io_backend": {"type": backend}, **roots}


def _read(options: dict[str, Any], paths: dict[str, str]) -> tuple[Image, Image]:
    """The pixels (LR, HR) of one pair, HR cropped to fit, through BasicSR's dataset with these options."""
    from ..basicsr_compat import PairedImageDataset

    dataset = PairedImageDataset(options)
    dataset.paths = [paths]
    try:
        item = dataset[0]
    except AttributeError as error:  # BasicSR goes on with the None that OpenCV returns
        names = " or ".join(paths.values())
        raise SrqError(f"OpenCV cannot decode {names}; save it as an 8-bit RGB PNG") from error
    finally:
        client = getattr(dataset.file_client, "client", None)
        for env in getattr(client, "_client", {}).values():
            env.close()  # LMDB refuses to open a folder that the process has open
    return _to_8_bit(item["lq"].numpy()), _to_8_bit(item["gt"].numpy())


def _to_8_bit(image: np.ndarray) -> Image:
    """(3, H, W) float32 in [0, 1], made from 8 bit -> (H, W, 3) uint8, exactly."""
    return np.ascontiguousarray(np.rint(image * 255).astype(np.uint8).transpose(1, 2, 0))
