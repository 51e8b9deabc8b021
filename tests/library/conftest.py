"""Small generated images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sr_ptq_bench.data.images import Image


@pytest.fixture
def noise() -> Callable[..., Image]:
    """A random (height, width, 3) uint8 image, the same for the same arguments."""

    def make(height: int, width: int, seed: int = 0) -> Image:
        return np.random.default_rng([seed, height, width]).integers(0, 256, (height, width, 3), dtype=np.uint8)

    return make


@pytest.fixture
def folder(tmp_path: Path, noise: Callable[..., Image]) -> Callable[..., Path]:
    """Write a folder of PNGs from names with (height, width)."""
    from sr_ptq_bench.data.images import write_image

    def make(name: str, **sizes: tuple[int, int]) -> Path:
        for seed, (stem, size) in enumerate(sizes.items()):
            write_image(tmp_path / name / f"{stem}.png", noise(*size, seed))
        return tmp_path / name

    return make
