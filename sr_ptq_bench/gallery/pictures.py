"""The pictures of one image: HR, bicubic, FP and every student, whole and where students differ most."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..data.images.header import is_whole_png
from ..data.images.pixels import read_image, write_image
from ..plots.views import crop_psnr, most_different
from .views import BICUBIC, FP, HR, Crop, ImageView

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from ..data.datasets import Dataset
    from ..data.images.pixels import Image
    from ..evaluation.score import Upscaler

SIDE = 64
"""HR pixels of a crop."""


@dataclass(frozen=True, eq=False)
class ImageFolder:
    """The folder of one image's pictures; a picture that is there is not made again.

    `made_with` is all that decides a picture beside the image and the state of a student.
    """

    dataset: Dataset
    index: int
    below: Path
    made_with: str

    @property
    def name(self) -> str:
        """A name for a file and an address, whatever the image is called; other pixels or weights give another."""
        image = self.dataset.names[self.index]
        words = re.sub(r"[^a-z0-9]+", "-", f"{self.dataset.name}-{image}".lower()).strip("-")[:40]
        told = f"{self.dataset.sha256}\n{self.made_with}\n{self.dataset.name}\n{image}"
        return f"{words}-{hashlib.sha256(told.encode(errors='surrogatepass')).hexdigest()[:8]}"

    def path(self, picture: str) -> Path:
        """The file of a picture."""
        return self.below / self.name / f"{picture}.png"

    def make(self, picture: str, upscaler: Upscaler) -> tuple[Image, Image] | None:
        """Write what an upscaler makes of the LR image; it and HR, or None if the picture is there already."""
        if self._has(picture):
            return None
        pair = self.dataset[self.index]
        sr = upscaler(pair.lr)
        write_image(self.path(picture), sr)
        return sr, pair.hr

    def make_hr(self) -> None:
        """Write the HR image."""
        if not self._has(HR):
            write_image(self.path(HR), self.dataset[self.index].hr)

    def _has(self, picture: str) -> bool:
        """Whether a picture is there as a whole; one that another program has damaged is made again."""
        return is_whole_png(self.path(picture))

    def view(self, pictures: Mapping[str, Iterable[str]]) -> ImageView:
        """The image with its crops; `pictures` are the names of students' pictures by bits."""
        hr = read_image(self.path(HR))
        height, width = hr.shape[:2]
        crops = {bits: self._crop(hr, bits, list(dict.fromkeys(names))) for bits, names in pictures.items()}
        return ImageView(self.dataset.name, self.dataset.names[self.index], self.name, width, height, crops)

    def _crop(self, hr: Image, bits: str, names: list[str]) -> Crop:
        differing = names if len(names) > 1 else [FP, *names]
        box = most_different((read_image(self.path(name)) for name in differing), SIDE)
        psnr = {}
        write_image(self.path(f"{bits}-{HR}"), box.of(hr))
        for name in (BICUBIC, FP, *names):
            sr = read_image(self.path(name))
            write_image(self.path(f"{bits}-{name}"), box.of(sr))
            psnr[name] = crop_psnr(sr, hr, box)
        return Crop(box, psnr)
