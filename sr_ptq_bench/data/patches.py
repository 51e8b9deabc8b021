"""The LR images that a method may see, as batches of patches on the run's device."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from ..errors import SrqError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor


class Images(Protocol):
    """A list of images, or an object that reads them on access."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> np.ndarray: ...


_DRAWN = "patches "


@dataclass(frozen=True)
class Batches:
    """Calibration patches, and an endless supply of augmented ones cut from the same images.

    `patches` is (N, S, S, 3) uint8; `images` are LR images (H, W, 3) uint8. All tensors are returned as
    (B, 3, S, S) float32 in [0, 1] on `device`.
    """

    patches: np.ndarray
    images: Images
    seed: int = 0
    device: str = "cpu"

    def fixed(self, batch: int = 4) -> Iterator[Tensor]:
        """The calibration patches, always the same ones in the same order, `batch` at a time; the last may be fewer."""
        check_batch(batch)
        for start in range(0, len(self.patches), batch):
            yield to_tensor(self.patches[start : start + batch]).to(self.device)

    def random(self, batch: int, size: int, skip: int = 0) -> Iterator[Tensor]:
        """Endless random crops of `size` pixels, flipped and rotated; the same seed gives the same sequence.

        `skip` leaves out that many batches of it without cutting them.
        """
        check_batch(batch)
        small = min((min(self.images[index].shape[:2]) for index in range(len(self.images))), default=0)
        if small < size:
            raise SrqError(f"a calibration image is {small} pixels wide, too small for patches of {size}")
        generator = np.random.default_rng([self.seed, batch, size])
        for _ in range(skip * batch):
            self._draw(generator, size)
        while True:
            draws = [self._draw(generator, size) for _ in range(batch)]
            yield to_tensor(np.stack([self._cut(draw, size) for draw in draws])).to(self.device)

    def _draw(self, generator: np.random.Generator, size: int) -> tuple[int, int, int, int, bool]:
        """Image, top, left, quarter turns, and whether mirrored."""
        index = int(generator.integers(len(self.images)))
        top, left = (int(generator.integers(length - size + 1)) for length in self.images[index].shape[:2])
        return index, top, left, int(generator.integers(4)), bool(generator.integers(2))

    def _cut(self, draw: tuple[int, int, int, int, bool], size: int) -> np.ndarray:
        index, top, left, turns, mirrored = draw
        patch = np.rot90(self.images[index][top : top + size, left : left + size], turns)
        return patch[:, ::-1] if mirrored else patch


@dataclass(frozen=True)
class CountedBatches(Batches):
    """The same batches, which count the patches that are drawn, each of them once.

    `counts` has the end of what was drawn of each sequence, so that a sequence that begins again, as it does after a
    kill, counts as one.
    """

    counts: Counter[str] = field(default_factory=Counter)

    @property
    def drawn(self) -> int:
        """The number of different patches so far."""
        return sum(count for name, count in self.counts.items() if name.startswith(_DRAWN))

    def fixed(self, batch: int = 4) -> Iterator[Tensor]:
        """As `Batches`."""
        return self._counted(super().fixed(batch), "fixed", 0)

    def random(self, batch: int, size: int, skip: int = 0) -> Iterator[Tensor]:
        """As `Batches`."""
        return self._counted(super().random(batch, size, skip), f"{batch} of {size}", skip * batch)

    def _counted(self, batches: Iterator[Tensor], sequence: str, end: int) -> Iterator[Tensor]:
        name = _DRAWN + sequence
        for batch in batches:
            end += len(batch)
            self.counts[name] = max(self.counts[name], end)
            yield batch


def check_batch(batch: object) -> None:
    """Raise SrqError unless this is a number of patches."""
    if not isinstance(batch, int) or batch < 1:
        raise SrqError(f"a batch of {batch!r} patches; expected an int of 1 or more")


def to_tensor(images: np.ndarray) -> Tensor:
    """(N, H, W, 3) uint8 -> (N, 3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float().div_(255)


def to_image(batch: Tensor) -> np.ndarray:
    """One image (1, 3, H, W) -> (H, W, 3) uint8: clamped to [0, 1], times 255, rounded."""
    image = batch[0].detach().clamp(0, 1).mul(255).round().to(torch.uint8)
    array: np.ndarray = image.permute(1, 2, 0).cpu().numpy()
    return array
