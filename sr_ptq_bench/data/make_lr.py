"""A folder of LR images made from a folder of HR images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import SrqError
from .datasets import lr_size
from .images.pixels import decode, write_image
from .names import split_pattern
from .resize import crop_to_multiple, downscale
from .stores import Files, open_store

if TYPE_CHECKING:
    from pathlib import Path


def write_lr(hr: Path, destination: Path, scale: int, *, force: bool = False) -> list[Path]:
    """Write the LR image of every image in the folder `hr` as PNG under the same name; return the new files.

    `hr` may be an LMDB, hold {scale} and end in a pattern with {name}. Existing files are an SrqError unless `force` is
    set, HR images always. All HR headers are checked before the first write.
    """
    sources = open_store(hr, scale)
    targets = {destination / f"{name}.png": name for name in sources.names}
    folder, _ = split_pattern(str(hr), scale)
    read = {path.resolve() for path in (folder, *(sources.paths.values() if isinstance(sources, Files) else ()))}
    if any(path.resolve() in read for path in (destination, *targets)):
        raise SrqError(f"{destination} has the HR images themselves; choose another folder for the LR images")
    existing = [target for target in targets if target.exists()]
    if existing and not force:
        raise SrqError(f"{existing[0]} exists already ({len(existing)} such files); use --force to replace them")
    for name in sources.names:
        lr_size(sources, name, scale)
    for target, name in targets.items():
        pixels = decode(sources.read(name), sources.called(name))
        write_image(target, downscale(crop_to_multiple(pixels, scale), scale))
    return list(targets)
