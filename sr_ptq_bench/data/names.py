"""Names of images: of files, what a suite's pattern finds in them, and which LR image belongs to an HR image."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ..errors import SrqError
from .images.formats import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

NAME, SCALE = "{name}", "{scale}"
T = TypeVar("T")


def split_pattern(path: str, scale: int) -> tuple[Path, str | None]:
    """A folder, and the pattern at the end of the path, if any; raises SrqError for a misplaced {name}.

    >>> split_pattern("Set5/X{scale}/{name}_LR.png", 2)
    (PosixPath('Set5/X2'), '{name}_LR.png')
    """
    filled = Path(path.replace(SCALE, str(scale)))
    folder, pattern = (filled.parent, filled.name) if NAME in filled.name else (filled, None)
    if NAME in str(folder) or (pattern or NAME).count(NAME) > 1:
        raise SrqError(f"{path}: {NAME} stands once, in the last part of a path")
    return folder, pattern


def same_on_every_system(name: str) -> str:
    """The name with each accented letter as one character (NFC); macOS writes two (NFD)."""
    return unicodedata.normalize("NFC", name)


def by_name(paths: Iterable[Path], pattern: str | None = None) -> dict[str, Path]:
    """The files by name without suffix, or by what the pattern calls {name}; raises SrqError if two share it."""
    files: dict[str, Path] = {}
    for path in sorted(paths, key=lambda path: same_on_every_system(path.stem)):
        name = _name_in(same_on_every_system(path.name), pattern)
        if name is None:
            continue
        if name in files:
            first, second = files[name].name, path.name
            alike = same_on_every_system(first) == same_on_every_system(second)
            why = " (accents are spelt in two ways)" if alike else ""
            raise SrqError(f"{path.parent}: {first} and {second} share a base name{why}; rename one of them")
        files[name] = path
    return files


def keys_by_name(keys: Mapping[str, T], pattern: str | None = None) -> dict[str, str]:
    """The keys of an LMDB by themselves, or by what the pattern calls {name}."""
    names = {key: _name_in(f"{key}.png", pattern and f"{_stem(pattern)}.png") for key in sorted(keys)}
    return {name: key for key, name in names.items() if name is not None}


def _name_in(file: str, pattern: str | None) -> str | None:
    """The part of a file's name that {name} matches; None if the name does not fit the pattern."""
    if pattern is None:
        return _stem(file)
    stem = _stem(same_on_every_system(pattern))
    suffix = pattern.removeprefix(stem).lower()
    match = re.fullmatch("(.+)".join(map(re.escape, stem.split(NAME))), _stem(file))
    return match[1] if match and suffix in ("", Path(file).suffix.lower()) else None


def _stem(file: str) -> str:
    """The name without the suffix of an image; other dots are part of it."""
    path = Path(file)
    return path.stem if path.suffix.lower() in SUFFIXES else file


def lr_names(hr: Collection[str], lr: Collection[str], scale: int, where: str) -> dict[str, str]:
    """The LR name of every HR name, the same or with `x2` (the scale) behind; raises SrqError unless all pair."""
    templates = ("{}", f"{{}}x{scale}")
    template = max(templates, key=lambda template: sum(template.format(name) in lr for name in hr))
    pairs = {name: template.format(name) for name in hr}
    missing, extra = sorted({*pairs.values()} - {*lr}), sorted({*lr} - {*pairs.values()})
    if missing or extra:
        first = f"no LR image '{missing[0]}'" if missing else f"no HR image for LR image '{extra[0]}'"
        counts = f"{len(hr)} HR and {len(lr)} LR images"
        remedy = f"add or remove images until they pair, or say how they are named, as in lr = 'LR/{NAME}_LR.png'"
        raise SrqError(f"{where}: {first} ({counts}); {remedy}")
    return pairs
