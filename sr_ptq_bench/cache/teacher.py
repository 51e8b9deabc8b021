"""Outputs of the FP network on training patches: all cells of a grid that train need the same ones."""

from __future__ import annotations

import hashlib
import shutil
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from ..errors import SrqError
from ..quantization.randomness import generator_states, restore_generators
from ..storage.files import read_sealed, set_aside, write_sealed
from .snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from ..progress import Say
    from ..quantization.network import SRModel

LIMIT = 2 * 2**30
"""Bytes on disk of the outputs of all teachers."""


class TeacherOutputs:
    """Outputs and features by the content of the patches, in a folder of one network, device and software.

    They are kept until they take `limit` bytes on disk; after that they are computed each time. Before the first is
    kept, outputs of other teachers are removed, the oldest first, until half of `limit` is free. `lock` lets one
    process at a time compute the entry of a name.
    """

    def __init__(
        self, folder: Path, lock: Callable[[str], AbstractContextManager[None]], say: Say, limit: int = LIMIT
    ) -> None:
        self._folder, self._lock, self._say, self._limit = folder, lock, say, limit
        self._room: int | None = None  # counted when the first output is kept: most runs keep none

    def of(self, lr: Tensor, compute: Callable[[], tuple[Tensor, list[Tensor]]]) -> tuple[Tensor, list[Tensor]]:
        """What `compute` gives for these patches, on their device; computed unless it is kept."""
        content = lr.detach().cpu().contiguous()
        digest = hashlib.sha256(f"{tuple(lr.shape)} {lr.dtype}".encode() + content.numpy().tobytes()).hexdigest()
        path = self._folder / f"{digest[:32]}.safetensors"
        with self._lock(digest[0]):  # 16 locks for all patches: no file for each
            found = self._read(path, lr.device)
            if found is None:
                output, features = compute()
                # Memory layout is restored too, because another layout may be summed in another order.
                found = output.contiguous(), [feature.contiguous() for feature in features]
                self._keep(path, found)
        return found

    def _read(self, path: Path, device: torch.device) -> tuple[Tensor, list[Tensor]] | None:
        data = read_sealed(path, self._say)
        if data is None:
            return None
        try:
            tensors = load(data)
            output, *features = (tensors[str(index)].to(device) for index in range(len(tensors)))
        except (SafetensorError, KeyError, ValueError):
            self._say(f"{path} does not hold what it should; {set_aside(path)}")
            return None
        return output, features

    def _keep(self, path: Path, made: tuple[Tensor, list[Tensor]]) -> None:
        output, features = made
        size = sum(tensor.nbytes for tensor in (output, *features))
        if self._room is None:
            self._room = self._limit - _bytes(self._folder) - _trimmed(self._folder, self._limit // 2)
        if size > self._room:
            return
        tensors = {str(index): tensor.cpu().clone() for index, tensor in enumerate((output, *features))}
        try:
            write_sealed(path, save(tensors))
            self._room -= size
        except SrqError as error:
            self._say(f"{error}; going on without keeping what the FP network makes of patches")
            self._room = 0


class CachedTeacher:
    """The FP network for a calibrator: its outputs without gradients come from `outputs`.

    While a hook or anything else is changed in it, it runs itself, so that others never read what came of that.
    """

    def __init__(self, model: SRModel, outputs: TeacherOutputs) -> None:
        self.model, self.outputs = model, outputs
        self._before = Snapshot(model.network)

    def is_changed(self) -> bool:
        """Whether modules, modes, hooks or tensors of the network are no longer what they were."""
        return not self._before.holds()

    @property
    def name(self) -> str:
        """As `SRModel.name`."""
        return self.model.name

    @property
    def scale(self) -> int:
        """As `SRModel.scale`."""
        return self.model.scale

    @property
    def features(self) -> tuple[str, ...]:
        """As `SRModel.features`."""
        return self.model.features

    def __call__(self, lr: Tensor) -> Tensor:
        """As `SRModel.__call__`."""
        return self.model(lr) if torch.is_grad_enabled() else self.with_features(lr)[0]

    def with_features(self, lr: Tensor) -> tuple[Tensor, list[Tensor]]:
        """As `SRModel.with_features`."""
        if torch.is_grad_enabled() or self.is_changed():
            return self.model.with_features(lr)
        return self.outputs.of(lr, partial(self._computed, lr))

    def _computed(self, lr: Tensor) -> tuple[Tensor, list[Tensor]]:
        """What others will read; a network that draws random numbers leaves the generators as a kept output does."""
        before = generator_states()
        try:
            with torch.autocast(lr.device.type, enabled=False):
                return self.model.with_features(lr)
        finally:
            restore_generators(before)


def _bytes(folder: Path) -> int:
    with suppress(OSError):
        return sum(path.stat().st_size for path in folder.iterdir())
    return 0


def _trimmed(folder: Path, limit: int) -> int:
    """Bytes of the other teachers' folders, after the oldest were removed to keep all of them below `limit`."""
    others: list[Path] = []
    with suppress(OSError):
        others += (path for path in folder.parent.glob("*") if path.name != folder.name)
    sizes = {path: _bytes(path) for path in sorted(others, key=_age)}
    total = sum(sizes.values())
    for path, size in sizes.items():
        if total <= limit:
            break
        shutil.rmtree(path, ignore_errors=True)
        total -= size
    return total


def _age(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0
