"""One small image, as files of any kind."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
IMAGE = PIL.Image.fromarray(PIXELS)


def saved(kind: str, image: PIL.Image.Image = IMAGE, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
