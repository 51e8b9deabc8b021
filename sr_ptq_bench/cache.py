"""What many runs share and none should compute twice, kept on disk under the hash of all that decides it."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save

from .distribution import Distribution
from .errors import SrqError
from .files import read_whole, write_atomically
from .records import LARGEST_BOUNDS, Measured, bounds_path, read_record
from .schema import Scores

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor

LARGEST_SCORES = 2**28
LARGEST_DISTRIBUTIONS = 2**32
_SCORES: TypeAdapter[Scores] = TypeAdapter(Scores)


class Cache:
    """Entries under `home/cache`; an entry that is missing or damaged is computed and written anew."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "cache"

    def scores(self, key: Mapping[str, Any], compute: Callable[[], Scores]) -> Scores:
        """The scores of a network or an interpolation on test sets."""
        path = self._path("scores", key, "json")
        try:
            return _SCORES.validate_json(read_whole(path, LARGEST_SCORES), strict=True)
        except (OSError, ValidationError, SrqError):
            scores = compute()
        _keep(path, _SCORES.dump_json(scores))
        return scores

    def distributions(
        self, key: Mapping[str, Any], compute: Callable[[], dict[str, Distribution]]
    ) -> dict[str, Distribution]:
        """The distributions of all sites of a network on calibration patches."""
        path = self._path("distributions", key, "safetensors")
        try:
            return _unpacked(load(read_whole(path, LARGEST_DISTRIBUTIONS)))
        except (OSError, SafetensorError, KeyError, ValueError, SrqError):
            distributions = compute()
        _keep(path, save(_packed(distributions)))
        return distributions

    def measured(self, name: str) -> Measured | None:
        """What this machine has measured, by the file name of the record."""
        path = self.folder / "records" / name
        try:
            return Measured(read_record(path), read_whole(bounds_path(path), LARGEST_BOUNDS))
        except (SrqError, OSError):
            return None

    def keep(self, measured: Measured) -> None:
        """Remember that this machine has made a run; records that came with a repository do not count."""
        with suppress(SrqError):
            measured.write(self.folder / "records")

    def _path(self, kind: str, key: Mapping[str, Any], suffix: str) -> Path:
        text = json.dumps({**key, "torch": torch.__version__, "code": _own_code()}, sort_keys=True)
        return self.folder / f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:32]}.{suffix}"


@lru_cache
def _own_code() -> str:
    """The SHA-256 of this package's modules: whoever edits one must not be shown what the old one computed."""
    modules = sorted(Path(__file__).parent.rglob("*.py"))
    return hashlib.sha256(b"".join(module.read_bytes() for module in modules)).hexdigest()


def _keep(path: Path, data: bytes) -> None:
    """A cache that cannot be written costs time in the next run, not this run's result."""
    with suppress(SrqError):
        write_atomically(path, data)


_FIELDS = ("tally", "elements", "channel_minimum", "channel_maximum")


def _packed(distributions: Mapping[str, Distribution]) -> dict[str, Tensor]:
    """Sites that share one distribution share its entry; ranges and the order of the sites are tensors too."""
    tensors: dict[str, Tensor] = {}
    kept: dict[int, int] = {}
    for index, (site, d) in enumerate(distributions.items()):
        source = kept.setdefault(id(d), index)
        tensors[f"{site}|site"] = torch.tensor([index, source])
        if source == index:
            tensors[f"{index}|range"] = torch.tensor([d.minimum, d.maximum], dtype=torch.float64)
            for name in _FIELDS:
                value = getattr(d, name)
                if value is not None:
                    tensors[f"{index}|{name}"] = value.contiguous()
    return tensors


def _unpacked(tensors: Mapping[str, Tensor]) -> dict[str, Distribution]:
    made: dict[int, Distribution] = {}
    order: list[tuple[int, int, str]] = []
    for name, tensor in tensors.items():
        if name.endswith("|site"):
            index, source = tensor.tolist()
            order.append((index, source, name.removesuffix("|site")))
    for _, source, _ in order:
        if source not in made:
            low, high = tensors[f"{source}|range"].tolist()
            tally, *optional = (tensors.get(f"{source}|{name}") for name in _FIELDS)
            if tally is None:
                raise KeyError(source)
            made[source] = Distribution(low, high, tally, *optional)
    return {site: made[source] for _, source, site in sorted(order)}
